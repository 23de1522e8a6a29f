"""The other hosts: where files are stored, and where redirects lead that nobody should follow with a key."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import quote

import orjson

from .contents import Stored, stored
from .multipart import MalformedError, MultipartReader
from .world import Storage, World


class ForeignHost:
    """Answers everything with a little JSON, and notes whether it was shown a key."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["raw_path"].decode("ascii")
        room = self._world.room(Storage)
        room.requests[f"{scope['method']} {self.name}"] += 1
        note_keys(self._world, scope, f"{self.name}{path}")
        await self._answer(scope, receive, send, path.strip("/").split("/"))

    name = "foreign"

    async def _answer(self, scope: Any, receive: Any, send: Any, path: list[str]) -> None:
        await _send(send, 200, orjson.dumps({"you": "have been led astray"}), "application/json")


class StorageHost(ForeignHost):
    """Gives files out and takes them in at the URLs that the API signed."""

    name = "storage"

    async def _answer(self, scope: Any, receive: Any, send: Any, path: list[str]) -> None:
        match scope["method"], path:
            case "GET", ["get", token]:
                await self._give(token, send)
            case "PUT" | "POST", ["put", token]:
                await self._take(scope, receive, send, token)
            case _:
                await _send(send, 404, b"<Error><Code>NoSuchKey</Code></Error>", "application/xml")

    async def _give(self, token: str, send: Any) -> None:
        found = self._world.room(Storage).given.get(token)
        if found is None or self._world.now() > found[1]:
            await _send(send, 403, b"<Error><Code>AccessDenied</Code></Error>", "application/xml")
            return
        item, _, name = found
        headers = {"content-disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
        content = item.read()
        if content is None:
            await _send(send, 410, b"<Error><Code>NotKept</Code></Error>", "application/xml")
        else:
            await _send(send, 200, content, "application/octet-stream", headers)

    async def _take(self, scope: Any, receive: Any, send: Any, token: str) -> None:
        room = self._world.room(Storage)
        awaited = room.awaited.get(token)
        collector = self._world.collector()
        headers = {k: v.decode("latin-1") for k, v in scope["headers"]}
        kind = headers.get(b"content-type", "")
        form = (
            MultipartReader(kind, self._world.collector)
            if scope["method"] == "POST" and kind.startswith("multipart/form-data")
            else None
        )
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            (form.feed if form else collector.write)(message.get("body", b""))
            more = message.get("more_body", False)
        if awaited is None or self._world.now() > awaited[1]:
            await _send(send, 403, b"<Error><Code>AccessDenied</Code></Error>", "application/xml")
            return
        item = collector.finish()
        if form is not None:
            try:
                form.finish()
                item = form.uploads[-1].stored
            except (MalformedError, IndexError):
                await _send(send, 400, b"<Error><Code>BadRequest</Code></Error>", "application/xml")
                return
        room.objects[awaited[0]] = item
        await _send(send, 200, b"", "application/xml", {"etag": f'"{item.sha256[:32]}"'})


def note_keys(world: World, scope: Any, where: str) -> None:
    """Write down every key that a request to another host carries, in any header or in its address."""
    shown = b"\n".join(
        [scope["raw_path"], scope["query_string"], *(v for _, v in scope["headers"])]
    )
    text = shown.decode("latin-1")
    names = ", ".join(k.decode("latin-1") for k, _ in scope["headers"] if k == b"authorization")
    if any(key in text for key in world.keys) or names:
        world.room(Storage).keys_seen.append(f"{scope['method']} {where} {names}".rstrip())


def resized(item: Stored, longest: int) -> Stored:
    """A picture at most so large; what is no picture stays as it is."""
    from PIL import Image, UnidentifiedImageError

    content = item.read()
    if content is None:
        return item
    try:
        picture = Image.open(io.BytesIO(content))
        picture.thumbnail((longest, longest))
        buffer = io.BytesIO()
        picture.convert("RGB").save(buffer, "JPEG", quality=80)
    except (UnidentifiedImageError, OSError, ValueError):
        return item
    return stored(buffer.getvalue())


async def _send(
    send: Any, status: int, content: bytes, media: str, headers: dict[str, str] | None = None
) -> None:
    named = {"content-type": media, "content-length": str(len(content)), **(headers or {})}
    pairs = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in named.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": content})
