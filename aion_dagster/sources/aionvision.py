"""A cloud storage that is connected to an Aionvision account, through the platform's own import, as a source."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from urllib.parse import quote

from aion_dagster.errors import FileChangedError, FileTooLargeError, SourceError
from aion_dagster.sources.selection import Selection
from aion_dagster.sources.source import ScanPage, Source
from aion_dagster.values import FileRef

SCHEME: Final = "aionvision://"
PAGE_FILES: Final = 10_000

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FOLDER: Final = "application/vnd.google-apps.folder"
_GOOGLE: Final = "application/vnd.google-apps."


@dataclass(frozen=True, slots=True)
class Wanted:
    """A version of a file in the cloud storage; `mark` is a tag that no other version has."""

    id: str
    name: str
    size_bytes: int
    mark: str


class Connection(Protocol):
    """A connected account, as far as the platform's API carries it."""

    def check(self) -> None:
        """Look whether the connection is there and active.

        Raises:
            SourceError: it is not.
        """
        ...

    def listed(self, folder: str | None, token: str | None) -> Mapping[str, Any]:
        """A page of files as Google's `files.list` answers: `files`, and `nextPageToken` where there are more.

        Raises:
            CursorExpiredError: the token is good no more.
            SourceError: the platform refuses, or cannot be reached.
        """
        ...

    def content(self, wanted: Wanted) -> bytes:
        """The bytes of the copy in the account's library; imported once, where it is not there.

        Raises:
            SourceError: the platform refuses, cannot be reached, or cannot import the file.
        """
        ...


class AionvisionSource(Source):
    """The possible pictures of a connected Google Drive that the platform may see.

    Listing goes through the platform's picker proxy: it shows what was granted when the account was connected. Bytes come
    by an import into the account's library, which counts as an upload there, once for each version of a file.

    - `uri` is `aionvision://<connection>/<file id>`, `name` the file's name: the API tells no path.
    - `version` is the content's MD5 and size, as the storage tells them.
    - Folders and Google's own documents are passed over: the import does not take them.
    """

    def __init__(
        self,
        name: str,
        connection_id: str,
        connection: Connection,
        *,
        folder: str | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        documents: Sequence[str] = (),
        max_bytes: int | None = None,
        page_files: int = PAGE_FILES,
    ) -> None:
        """Describe the source; nothing is asked yet.

        Args:
            name: the source's name.
            connection_id: the connection, as the platform numbers it.
            connection: asks the platform.
            folder: only files directly in the folder with this id.
            include: patterns of names to take; see `Selection`.
            exclude: patterns of names to leave out.
            documents: formats of documents (pdf, docx, txt, md) to take beside pictures.
            max_bytes: larger files are listed and cannot be read.
            page_files: files in one page of a scan, about.
        """
        self._name = name
        self._prefix = f"{SCHEME}{connection_id}/"
        self._connection_id = connection_id
        self._connection = connection
        self._folder = folder
        self._selection = Selection(tuple(include), tuple(exclude), False, tuple(documents))
        self._max_bytes = max_bytes
        self._page_files = page_files

    @property
    def name(self) -> str:
        """The source's name."""
        return self._name

    def check(self) -> None:
        """See `Source.check`."""
        self._connection.check()

    def scan(self, cursor: str | None = None, deadline: float | None = None) -> ScanPage:
        """The next page; see `Source.scan`."""
        files: list[FileRef] = []
        while True:
            page = self._connection.listed(self._folder, cursor)
            for described in page.get("files") or ():
                file = self._file(described)
                if file is not None and self._selection.takes_file(file.name):
                    files.append(file)
            cursor = page.get("nextPageToken") or None
            late = deadline is not None and time.monotonic() >= deadline
            if cursor is None or late or len(files) >= self._page_files:
                return ScanPage(tuple(files), cursor)

    def read(self, ref: FileRef) -> bytes:
        """The bytes of this version; see `Source.read`."""
        if self._max_bytes is not None and ref.size_bytes > self._max_bytes:
            raise FileTooLargeError(
                f"{ref.name}: {ref.size_bytes:,} bytes, {self._max_bytes:,} are allowed."
            )
        if not ref.uri.startswith(self._prefix):
            raise SourceError(f"{ref.uri} is no file of the connection {self._connection_id}.")
        mark = hashlib.blake2b(f"{ref.uri}\0{ref.version}".encode(), digest_size=16).hexdigest()
        wanted = Wanted(
            ref.uri.removeprefix(self._prefix), ref.name, ref.size_bytes, f"aion-{mark}"
        )
        data = self._connection.content(wanted)
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if f"{md5}-{len(data)}" != ref.version:
            raise FileChangedError(
                f"{ref.name}: the platform imported another version than was listed."
            )
        return data

    def _file(self, described: Mapping[str, Any]) -> FileRef | None:
        """A file as Google describes it; None for what has no content of its own."""
        kind = str(described.get("mimeType") or "")
        digest, size = described.get("md5Checksum"), described.get("size")
        if kind == _FOLDER or kind.startswith(_GOOGLE) or not digest or size is None:
            return None
        # A name of the storage may hold what separates folders here.
        name = str(described.get("name") or described["id"]).replace("/", "\N{FULLWIDTH SOLIDUS}")
        return FileRef(
            source=self._name,
            uri=self._prefix + quote(str(described["id"]), safe=""),
            name="".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name),
            version=f"{digest}-{int(size)}",
            size_bytes=int(size),
            modified_at=_moment(described.get("modifiedTime")),
        )


def _moment(text: Any) -> datetime:
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC)
    except ValueError:
        return _EPOCH
