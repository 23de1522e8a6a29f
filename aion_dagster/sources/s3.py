"""A bucket of S3, or of a service that speaks its protocol, as a source."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from aion_dagster.errors import (
    CursorExpiredError,
    FileChangedError,
    FileTooLargeError,
    FileVanishedError,
    SourceError,
)
from aion_dagster.sources.s3_faults import BrokenTransferError, faults, transfers
from aion_dagster.sources.s3_objects import ARCHIVED, Bucket, condition
from aion_dagster.sources.s3_queue import ObjectEvents, looked_at
from aion_dagster.sources.selection import Selection
from aion_dagster.sources.source import ScanPage, Source
from aion_dagster.sources.walk import STORE_MARKER
from aion_dagster.values import FileRef, Loss

PAGE_FILES: Final = 10_000

_MOST_KEYS: Final = 1_000
_PIECE: Final = 1 << 20
_TRANSFERS: Final = 5
_AFTER: Final = "after:"
_EVENTS: Final = "events:"
_LAST: Final = "\U0010ffff"
"""Sorts after every character of a key."""


class S3Source(Source):
    """The possible pictures of a bucket below a prefix, in byte order of their keys.

    - `version` is `<ETag>-<size>`, which every change of content changes. With `version_ids` it is the id of the version
      where the bucket has versions: older ones can be read then, and the listing passes over all of them.
    - Keys may be anything; `name` is printable and does as a relative path.
    - Objects in GLACIER and DEEP_ARCHIVE are there, and are not taken in before they are restored to another class.
    - Everything below a prefix that holds a store is passed over.
    - With `events`, passes follow the bucket's notifications, and list everything every `relist_seconds` only.
    """

    def __init__(
        self,
        name: str,
        bucket: str,
        client: Any,
        *,
        prefix: str = "",
        include_hidden: bool = False,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        documents: Sequence[str] = (),
        max_bytes: int | None = None,
        requester_pays: bool = False,
        version_ids: bool = False,
        events: ObjectEvents | None = None,
        relist_seconds: float | None = None,
        page_files: int = PAGE_FILES,
    ) -> None:
        """Describe the source; nothing is asked yet.

        Args:
            name: the source's name.
            bucket: its name, or the ARN of an access point.
            client: a client of boto3 for S3.
            prefix: what the keys begin with.
            include_hidden: take names that begin with a dot.
            include: patterns of names to take; see `Selection`.
            exclude: patterns of names to leave out.
            documents: formats of documents (pdf, docx, txt, md) to take beside pictures.
            max_bytes: larger objects are listed and cannot be read.
            requester_pays: whoever asks pays.
            version_ids: tell versions by their ids.
            events: where notifications of the bucket arrive.
            relist_seconds: see `Source`.
            page_files: files in one page of a scan, about.
        """
        self._name = name
        self._bucket = Bucket(name, bucket, prefix)
        self._client = client
        self._selection = Selection(
            tuple(include), tuple(exclude), include_hidden, tuple(documents)
        )
        self._max_bytes = max_bytes
        self._payer: Mapping[str, str] = {"RequestPayer": "requester"} if requester_pays else {}
        self._version_ids = version_ids
        self._events = events
        # With other rules, notifications from now on would not bring what the old rules passed over.
        rules = repr((prefix, self._selection, version_ids)).encode()
        self._resume = f"{_EVENTS}{hashlib.blake2b(rules, digest_size=8).hexdigest()}"
        self._page_files = page_files
        self.relist_seconds = relist_seconds if events is not None else None

    @property
    def name(self) -> str:
        """The source's name."""
        return self._name

    def check(self) -> None:
        """See `Source.check`."""
        self._list("", most=1)

    def scan(self, cursor: str | None = None, deadline: float | None = None) -> ScanPage:
        """The next page; see `Source.scan`. Objects that appear before the cursor meanwhile come with the next scan.

        Raises:
            CursorExpiredError: notifications were followed, and are no longer, or with other rules.
            CredentialsError: the service refuses the credentials, or does not allow to list the bucket.
            SourceUnavailableError: it cannot be reached, or is too busy, after all attempts.
            SourceError: there is no such bucket, it is in another region, or it holds a store at this prefix.
        """
        if cursor is not None and cursor.startswith(_EVENTS):
            if self._events is None or cursor != self._resume:
                raise CursorExpiredError(f"{self._name}: other objects are taken now than before.")
            return self._changes(self._events, deadline)
        page = _Page(self._bucket, self._selection, self._version_ids)
        after = (cursor or "").removeprefix(_AFTER)
        while True:
            listed = self._list(after)
            after = self._add(page, listed)
            if not listed.more:
                return page.made(None, self._resume if self._events is not None else None)
            late = deadline is not None and time.monotonic() >= deadline
            if late or len(page.files) >= self._page_files:
                return page.made(_AFTER + after, None)

    def acknowledge(self, receipt: object) -> None:
        """Take the notifications of a page out of the queue."""
        if self._events is not None and isinstance(receipt, tuple):
            self._events.delete(receipt)

    def read(self, ref: FileRef) -> bytes:
        """The bytes of this version; see `Source.read`. A transfer that breaks off goes on where it was.

        Raises:
            CredentialsError: the service refuses the credentials.
            SourceUnavailableError: it cannot be reached, or is too busy, after all attempts.
        """
        if self._max_bytes is not None and ref.size_bytes > self._max_bytes:
            raise FileTooLargeError(
                f"{ref.name}: {ref.size_bytes:,} bytes, {self._max_bytes:,} are allowed."
            )
        data = bytearray()
        for left in reversed(range(_TRANSFERS)):
            try:
                for piece in self._pieces(ref, len(data)):
                    data += piece
                    if len(data) > ref.size_bytes:
                        break
                break
            except BrokenTransferError:
                if not left:
                    raise
        if len(data) != ref.size_bytes:
            raise FileChangedError(f"{ref.name}: the object has another size than was listed.")
        return bytes(data)

    def _pieces(self, ref: FileRef, begin: int) -> Iterator[bytes]:
        """The object from a byte on, in pieces."""
        wanted = condition(ref.version)
        asked: dict[str, Any] = dict(self._payer)
        if wanted.version_id is not None:
            asked["VersionId"] = wanted.version_id
        elif wanted.etag is not None:
            asked["IfMatch"] = wanted.etag
        if begin:
            asked["Range"] = f"bytes={begin}-"
        place = {"Bucket": self._bucket.name, "Key": self._bucket.key(ref.uri)}
        with faults(ref.name, needs="s3:GetObject", is_file=True):
            body = self._client.get_object(**place, **asked)["Body"]
        try:
            with transfers(ref.name):
                yield from body.iter_chunks(_PIECE)
        finally:
            body.close()

    def _list(self, after: str, most: int = _MOST_KEYS) -> _Listed:
        """One request of a listing: what follows a key."""
        asked = {"Bucket": self._bucket.name, "Prefix": self._bucket.prefix, "MaxKeys": most}
        needs = "s3:ListBucketVersions" if self._version_ids else "s3:ListBucket"
        with faults(f"The bucket {self._bucket.name}", needs=f"{needs} on it"):
            if self._version_ids:
                # From a key on without a version: what is left of that key's older versions is passed over.
                start = {"KeyMarker": after} if after else {}
                found = self._client.list_object_versions(**asked, **start, **self._payer)
                objects = [v for v in found.get("Versions", ()) if v["IsLatest"]]
                last = found.get("NextKeyMarker")
            else:
                start = {"StartAfter": after} if after else {}
                found = self._client.list_objects_v2(**asked, **start, **self._payer)
                objects = found.get("Contents", [])
                last = objects[-1]["Key"] if objects else None
        more = bool(found.get("IsTruncated"))
        if more and (not last or last <= after):
            raise SourceError(f"The bucket {self._bucket.name}: its listing does not go on.")
        return _Listed(objects, last or after, more)

    def _add(self, page: _Page, listed: _Listed) -> str:
        """Add what one request listed; after which key to go on."""
        for item in listed.objects:
            key: str = item["Key"]
            folder, slash, last = key.rpartition("/")
            if last != STORE_MARKER:
                page.add(key, item)
            elif self._bucket.prefix.startswith(folder + slash):
                raise SourceError(
                    f"s3://{self._bucket.name}/{folder} is a store: choose another prefix for the store or for the "
                    "pictures."
                )
            else:
                listed.more = True
                return folder + slash + _LAST
        return listed.last

    def _changes(self, events: ObjectEvents, deadline: float | None) -> ScanPage:
        """A page of what notifications name, as it is now."""
        heard = events.receive(deadline)
        page = _Page(self._bucket, self._selection, self._version_ids)
        wanted = [key for key in heard.keys if page.takes(key)]
        stores = self._stores(wanted)
        found = looked_at(self._head, [key for key in wanted if not key.startswith(stores)])
        for key, item in found.items():
            if item is not None:
                page.add(key, item)
        gone = tuple(self._bucket.uri(key) for key, item in found.items() if item is None)
        if gone:
            self.check()  # a bucket that is not there answers in the same way as an object that is not
        problems = (_foreign(self._name, heard.foreign),) if heard.foreign else ()
        made = page.made(None if heard.is_empty else self._resume, self._resume)
        receipt = tuple(heard.receipts) or None
        return replace(made, removed=gone, problems=problems, receipt=receipt)

    def _stores(self, keys: Iterable[str]) -> tuple[str, ...]:
        """Which of the folders that these keys are in hold a store."""
        parts = (key.split("/")[:-1] for key in keys)
        folders = {"/".join(p[:depth]) + "/" for p in parts for depth in range(1, len(p) + 1)}
        markers = looked_at(self._head, [folder + STORE_MARKER for folder in folders])
        return tuple(key[: -len(STORE_MARKER)] for key, found in markers.items() if found)

    def _head(self, key: str) -> Mapping[str, Any] | None:
        """An object as it is now; None where there is none."""
        try:
            with faults(self._bucket.uri(key), needs="s3:GetObject", is_file=True):
                answer = self._client.head_object(Bucket=self._bucket.name, Key=key, **self._payer)
        except FileVanishedError:
            return None
        found: Mapping[str, Any] = answer
        return {**found, "Size": found["ContentLength"]}


@dataclass(slots=True)
class _Listed:
    """What one request listed: objects in the order of their keys, the last key, and whether there are more."""

    objects: Sequence[Mapping[str, Any]]
    last: str
    more: bool


class _Page:
    """A page that is being made."""

    def __init__(self, bucket: Bucket, selection: Selection, version_ids: bool) -> None:
        self.files: list[FileRef] = []
        self._present: list[str] = []
        self._bucket, self._selection, self._version_ids = bucket, selection, version_ids

    def takes(self, key: str) -> bool:
        """Whether a key is that of a possible picture or document of this source."""
        if key.endswith("/") or not key.startswith(self._bucket.prefix):
            return False
        return self._selection.takes_path(self._bucket.file_name(key))

    def add(self, key: str, item: Mapping[str, Any]) -> None:
        """Add an object as a listing or a HEAD request describes it, unless it is none of this source."""
        if not self.takes(key):
            return
        if item.get("StorageClass") in ARCHIVED:
            self._present.append(self._bucket.uri(key))
        else:
            self.files.append(self._bucket.reference(key, item, version_ids=self._version_ids))

    def made(self, cursor: str | None, resume: str | None) -> ScanPage:
        """The page; `resume` counts where there is no cursor."""
        return ScanPage(
            tuple(self.files),
            cursor,
            present=tuple(self._present),
            resume=resume if cursor is None else None,
        )


def _foreign(source: str, count: int) -> Loss:
    return Loss(
        "dropped",
        source,
        f"{count} messages in the queue are not about this bucket and were left there; give its notifications a queue "
        "of their own",
    )
