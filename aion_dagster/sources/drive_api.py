"""The questions that are asked of Google Drive: one file, a folder's entries, changes, bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from aion_dagster.errors import SourceError
from aion_dagster.sources.drive_calls import DriveCalls, described
from aion_dagster.sources.drive_faults import PageTokenError
from aion_dagster.sources.drive_files import FIELDS, FOLDER, SHORTCUT, DriveFile

PAGE_SIZE: Final = 1000
"""Entries of a listing that Drive sends at most."""

PIECE_BYTES: Final = 32 * 2**20
"""A download is asked for in pieces of this size, so that no answer is larger."""

_ID = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Listing:
    """A part of a folder's entries; `token` asks for the next part, empty after the last one."""

    files: tuple[DriveFile, ...]
    token: str


@dataclass(frozen=True, slots=True)
class Changes:
    """A part of what changed; files in the state that they are in now.

    `gone` are ids of which Drive says only that they went. `token` asks for what comes after; `is_last` when that is
    nothing yet.
    """

    files: tuple[DriveFile, ...]
    gone: tuple[str, ...]
    token: str
    is_last: bool


class DriveApi:
    """Read-only Drive. Every method raises what `DriveCalls.repeat` does; safe for several threads."""

    def __init__(self, calls: DriveCalls) -> None:
        """Ask through `calls`; nothing is asked yet."""
        self.calls = calls

    def file(self, file_id: str, deadline: float | None = None) -> DriveFile:
        """One entry, trashed or not.

        Raises:
            EntryMissingError: there is none that the account can see.
        """
        request = self._files.get(fileId=checked(file_id), fields=FIELDS, supportsAllDrives=True)
        return DriveFile.from_resource(self.calls.ask(request, f"drive {file_id}", deadline))

    def entries(
        self,
        folder_id: str,
        drive_id: str,
        *,
        token: str = "",
        only_folders: bool = False,
        trashed_too: bool = False,
        deadline: float | None = None,
    ) -> Listing:
        """Entries of one folder.

        Folders are asked for one by one: a query for several parents at once leaves entries out without saying so.

        Args:
            folder_id: the folder.
            drive_id: the shared drive that it is in, empty for none.
            token: of the part before; empty for the first.
            only_folders: leave everything else out.
            trashed_too: with what is in the trash.
            deadline: see `DriveCalls.repeat`.

        Raises:
            PageTokenError: the token is good no more; the folder is to be listed from its beginning.
            EntryMissingError: there is no such folder.
        """
        conditions = [f"'{checked(folder_id)}' in parents"]
        if not trashed_too:
            conditions.append("trashed = false")
        if only_folders:
            conditions.append(f"mimeType = '{FOLDER}'")
        return self._list(
            " and ".join(conditions), drive_id, token, f"folder {folder_id}", deadline
        )

    def shortcuts_to(
        self, targets: Sequence[str], drive_id: str, deadline: float | None = None
    ) -> list[DriveFile]:
        """Shortcuts that stand for one of these files; all there are, as far as Drive's index knows."""
        named = " or ".join(f"shortcutDetails.targetId = '{checked(t)}'" for t in targets)
        query = f"mimeType = '{SHORTCUT}' and trashed = false and ({named})"
        found: list[DriveFile] = []
        token = ""
        while True:
            page = self._list(query, drive_id, token, "shortcuts", deadline)
            found.extend(page.files)
            token = page.token
            if not token:
                return found

    def has_shortcuts(self, drive_id: str, deadline: float | None = None) -> bool:
        """Whether the drive, or the account, has any shortcut."""
        query = f"mimeType = '{SHORTCUT}' and trashed = false"
        return bool(self._list(query, drive_id, "", "shortcuts", deadline, page_size=1).files)

    def start_token(self, drive_id: str, deadline: float | None = None) -> str:
        """The token from which changes made after this moment are listed."""
        where = {"driveId": drive_id} if drive_id else {}
        request = self._changes.getStartPageToken(supportsAllDrives=True, **where)
        return str(self.calls.ask(request, "drive changes", deadline)["startPageToken"])

    def changes(self, token: str, drive_id: str, deadline: float | None = None) -> Changes:
        """What changed, of a shared drive or of everything that the account sees.

        Raises:
            PageTokenError: the token is good no more.
        """
        request = self._changes.list(
            pageToken=token,
            pageSize=PAGE_SIZE,
            supportsAllDrives=True,
            includeItemsFromAllDrives=True,
            includeRemoved=True,
            fields=f"nextPageToken,newStartPageToken,changes(changeType,removed,fileId,file({FIELDS}))",
            **({"driveId": drive_id} if drive_id else {}),
        )
        answer = self.calls.ask(request, "drive changes", deadline)
        following = answer.get("nextPageToken") or answer.get("newStartPageToken")
        if not following:
            raise PageTokenError("drive changes: Google names no token to go on with.")
        entries = [c for c in answer.get("changes", ()) if c.get("fileId")]
        return Changes(
            files=tuple(
                DriveFile.from_resource(c["file"])
                for c in entries
                if not c.get("removed") and c.get("file")
            ),
            gone=tuple(str(c["fileId"]) for c in entries if c.get("removed") or not c.get("file")),
            token=str(following),
            is_last="nextPageToken" not in answer,
        )

    def download(self, file_id: str, what: str, limit: int) -> bytes:
        """The bytes of a file, or where there are more than `limit`, at least one more than that.

        What Google takes for malware is not asked for a second time.
        """
        from googleapiclient.http import MediaIoBaseDownload

        request = self._files.get_media(fileId=checked(file_id), supportsAllDrives=True)
        held = io.BytesIO()
        pieces = MediaIoBaseDownload(held, request, chunksize=min(PIECE_BYTES, limit + 1))

        def piece(connection: Any) -> bool:
            request.http = connection
            return bool(pieces.next_chunk()[1])

        while not self.calls.repeat(piece, what) and held.tell() <= limit:
            pass
        return held.getvalue()

    def export(self, file_id: str, mime_type: str, what: str) -> bytes:
        """A Google document in another format.

        Raises:
            FileTooLargeError: it would have more than the 10 MB that Google allows.
        """
        request = self._files.export_media(fileId=checked(file_id), mimeType=mime_type)
        return self.calls.repeat(lambda connection: bytes(request.execute(http=connection)), what)

    def _list(
        self,
        query: str,
        drive_id: str,
        token: str,
        what: str,
        deadline: float | None,
        page_size: int = PAGE_SIZE,
    ) -> Listing:
        where = {"corpora": "drive", "driveId": drive_id} if drive_id else {"corpora": "user"}
        request = self._files.list(
            q=query,
            pageSize=page_size,
            pageToken=token or None,
            spaces="drive",
            supportsAllDrives=True,
            includeItemsFromAllDrives=True,
            fields=f"nextPageToken,files({FIELDS})",
            **where,
        )
        answer = self.calls.ask(request, what, deadline)
        files = tuple(DriveFile.from_resource(f) for f in answer.get("files", ()))
        return Listing(files, str(answer.get("nextPageToken") or ""))

    @property
    def _files(self) -> Any:
        return described(self.calls.api_endpoint)[0]

    @property
    def _changes(self) -> Any:
        return described(self.calls.api_endpoint)[1]


def checked(file_id: str) -> str:
    """An id that may stand in a query.

    Raises:
        SourceError: it is none of Drive's.
    """
    if not _ID.fullmatch(file_id):
        raise SourceError(f"{file_id!r} is no id of Google Drive.")
    return file_id
