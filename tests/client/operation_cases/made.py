"""What a call needs at the server: pictures, documents, sessions, …, made when a case asks for them."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

from PIL import Image

from aion_dagster.client import SyncAionVision
from aion_dagster.client.models.document_uploads import DocumentFileInfo
from aion_dagster.client.models.upload_presigned import FileInfo

TEXT = b"# Safety\n\nWear a helmet near the pole.\n\n## Ladders\n\nLadders are checked daily.\n"


def picture(number: int) -> bytes:
    """A small picture that no other number gives."""
    out = io.BytesIO()
    Image.new("RGB", (40, 30), (number % 256, 80, 160)).save(out, "PNG")
    return out.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Made:
    """Makes things at a server through a client; `server` is the handle on it."""

    def __init__(self, server: Any, client: SyncAionVision, folder_for_files: Path) -> None:
        self.server, self.client, self.folder_for_files = server, client, folder_for_files
        self._pictures = 0

    def image(self, **options: Any) -> str:
        """A picture that is described."""
        image_id = self.raw_image(**options)
        self.client.uploads.wait_for_description(image_id)
        return image_id

    def raw_image(self, **options: Any) -> str:
        """A picture that was only sent."""
        self._pictures += 1
        name = f"{self._pictures}.png"
        sent = self.client.uploads.stream(picture(self._pictures), filename=name, **options)
        return sent.image_id

    def images(self, count: int) -> list[str]:
        return [self.image() for _ in range(count)]

    def pictures(self, count: int = 2) -> tuple[list[bytes], list[str]]:
        """Pictures that the server does not know, and their names."""
        numbers = range(100, 100 + count)
        return [picture(n) for n in numbers], [f"{n}.png" for n in numbers]

    def session(self, count: int = 7) -> str:
        """An upload session whose results must be asked for."""
        files, names = self.pictures(count)
        return self.client.uploads.stream_batch(files, filenames=names).session_id

    def document(self, content: bytes = TEXT, name: str = "safety.md") -> str:
        """A document that is processed."""
        return self.client.documents.upload_one(content, filename=name).document_id

    def sent_document(self) -> Any:
        """A document in storage that is not confirmed: what the server permitted."""
        asked = self.client.documents.request_upload("a.md", "text/markdown", len(TEXT))
        self.client.documents.send_presigned(asked, TEXT, filename="a.md")
        return asked

    def document_batch(self) -> Any:
        """A batch of documents that was prepared and sent."""
        files = [
            DocumentFileInfo(filename=f"{n}.txt", size_bytes=6, content_type="text/plain")
            for n in range(2)
        ]
        batch = self.client.documents.batch_prepare(files)
        for number, place in enumerate(batch.presigned_urls):
            content = f"text {number}".encode()
            self.client.documents.send_presigned(place, content, filename=place.filename)
        return batch

    def link(self) -> str:
        """A link whose page was fetched."""
        return self.client.links.create_and_wait("https://example.org/a", title="A", tags=["t"]).id

    def folder(self, name: str = "Site", **options: Any) -> str:
        return self.client.folders.create(name, **options).id

    def chat(self, **options: Any) -> str:
        return self.client.chats.create_session(title="Poles", **options).id

    def plan(self) -> tuple[str, str]:
        """A session with a plan that waits for approval: both ids."""
        chat = self.chat()
        for token in self.client.chats.send_stream("plan: sort my pictures", session_id=chat):
            if token.type == "plan_pending_approval":
                return chat, str(token.data["plan_id"])
        raise AssertionError("the server proposed no plan")

    def presigned(self, **options: Any) -> Any:
        """A picture in storage that is not confirmed: what the server permitted."""
        content = picture(200)
        asked = self.client.uploads.request_presigned_url(
            "200.png", "image/png", len(content), **options
        )
        self.client.uploads.send_presigned(asked, content)
        return asked, len(content)

    def upload_batch(self) -> Any:
        """A batch of pictures that was prepared and sent."""
        contents, names = self.pictures(2)
        files = [
            FileInfo(filename=n, size_bytes=len(c), content_type="image/png")
            for n, c in zip(names, contents, strict=True)
        ]
        batch = self.client.uploads.batch_prepare(files)
        for place, content in zip(batch.presigned_urls, contents, strict=True):
            self.client.uploads.send_presigned(place, content)
        return batch, [len(c) for c in contents]

    def description_batch(self) -> str:
        """A batch of descriptions."""
        keys = [self.client.files.get(image_id).object_key for image_id in self.images(2)]
        return self.client.batch.submit_describe(object_keys=keys).batch_id

    def finished_batch(self) -> str:
        batch_id = self.description_batch()
        self.client.batch.wait_for_completion(batch_id)
        return batch_id

    def batch_item(self) -> str:
        return str(self.client.batch.get_results(self.finished_batch()).results[0].item_id)

    def dataset(self) -> str:
        return self.client.datasets.create(self.finished_batch(), "Poles").id

    def export(self, *, finished: bool = False) -> str:
        """An export of descriptions."""
        self.image()
        export_id = self.client.data.export("jsonl").export_id
        if finished:
            self.client.data.wait_for_export(export_id)
        return export_id

    def connection(self) -> str:
        """A cloud storage that is connected."""
        begun = self.client.cloud_storage.initiate_auth("google_drive")
        done = self.client.cloud_storage.complete_auth("google_drive", code="me", state=begun.state)
        return done.connection.id

    def video(self) -> Any:
        """A video that was sent and is analyzed."""
        video = self.client.videos.upload(
            b"video " * 1000, filename="a.mp4", duration_seconds=9, title="A"
        )
        self.client.videos.wait_for_analysis(video.analysis_job_id)
        return video

    def video_session(self) -> Any:
        """A video whose chunks are awaited."""
        return self.client.videos.initiate("a.mp4", "video/mp4", 3000)

    def member(self) -> str:
        return self.client.tenant.invite_member("someone@example.com").id

    def key(self) -> str:
        return self.client.api_keys.create("a key").id
