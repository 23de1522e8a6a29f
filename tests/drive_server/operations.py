"""The methods of the API: what each answers, from parameters and the account."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from . import masks, queries
from .account import Account
from .items import EXPORTS, Item
from .refusals import Refusal, invalid, not_found

FILE_FIELDS: Final = {
    "kind", "id", "name", "mimeType", "trashed", "explicitlyTrashed", "version", "createdTime", "modifiedTime", "parents",
    "driveId", "shortcutDetails", "size", "md5Checksum", "sha1Checksum", "sha256Checksum", "headRevisionId",
    "capabilities", "resourceKey", "exportLinks", "webViewLink", "owners", "description", "starred",
}  # fmt: skip
FILE_DEFAULT: Final = "kind,id,name,mimeType"
EXPORT_LIMIT: Final = 10 * 2**20

Parameters = Mapping[str, str]


class Operations:
    """Read-only Drive v3 on an account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.largest_page = 1000
        self.multi_parent_bug = False

    def list(self, parameters: Parameters) -> dict[str, Any]:
        self._check_drives(parameters)
        query = queries.parsed(parameters.get("q", ""))
        size = _size(parameters, self.largest_page)
        after = self._list_place(parameters)
        mask = masks.parsed(
            parameters.get("fields", f"kind,incompleteSearch,nextPageToken,files({FILE_DEFAULT})")
        )
        masks.check(mask, {"kind", "incompleteSearch", "nextPageToken", "files"})
        with self._account.lock:
            found: list[Item] = []
            more = False
            for item in self._candidates(query):
                if item.place <= after or not self._is_in(item, parameters):
                    continue
                if not query.test(item, self._account.is_trashed(item)):
                    continue
                if len(found) == size:
                    more = True
                    break
                found.append(item)
            reply: dict[str, Any] = {
                "kind": "drive#fileList",
                "incompleteSearch": False,
                "files": [self._resource(item) for item in found],
            }
        if more:
            reply["nextPageToken"] = _list_token(parameters, found[-1].place)
        shown: dict[str, Any] = masks.masked(reply, mask)
        return shown

    def get(self, file_id: str, parameters: Parameters) -> dict[str, Any]:
        mask = masks.parsed(parameters.get("fields", FILE_DEFAULT))
        masks.check(mask, FILE_FIELDS)
        with self._account.lock:
            shown: dict[str, Any] = masks.masked(
                self._resource(self._item(file_id, parameters)), mask
            )
        return shown

    def download(self, file_id: str, parameters: Parameters) -> bytes:
        with self._account.lock:
            item = self._item(file_id, parameters)
            if item.content is None:
                raise Refusal(
                    403,
                    "fileNotDownloadable",
                    "Only files with binary content can be downloaded. Use Export with Docs Editors files.",
                    location="alt",
                )
            if item.is_abusive and parameters.get("acknowledgeAbuse") != "true":
                raise Refusal(
                    403,
                    "cannotDownloadAbusiveFile",
                    "This file has been identified as malware or spam and cannot be downloaded.",
                )
            return item.content

    def export(self, file_id: str, parameters: Parameters) -> tuple[bytes, str]:
        with self._account.lock:
            item = self._account.visible(file_id)
            if item is None:
                raise not_found(file_id)
            if item.mime_type not in EXPORTS:
                raise Refusal(403, "fileNotExportable", "Export only supports Docs Editors files.")
            wanted = parameters.get("mimeType", "")
            if wanted not in item.exports:
                raise Refusal(400, "badRequest", "The requested conversion is not supported.")
            content = item.exports[wanted]
        if len(content) > EXPORT_LIMIT:
            raise Refusal(403, "exportSizeLimitExceeded", "This file is too large to be exported.")
        return content, wanted

    def start_page_token(self, parameters: Parameters) -> dict[str, Any]:
        self._check_drive(parameters)
        with self._account.lock:
            return {
                "kind": "drive#startPageToken",
                "startPageToken": str(self._account.number + 1),
            }

    def changes(self, parameters: Parameters) -> dict[str, Any]:
        self._check_drive(parameters)
        size = _size(parameters, self.largest_page)
        mask = masks.parsed(
            parameters.get(
                "fields",
                "kind,nextPageToken,newStartPageToken,"
                f"changes(kind,changeType,time,removed,fileId,file({FILE_DEFAULT}))",
            )
        )
        masks.check(mask, {"kind", "nextPageToken", "newStartPageToken", "changes"})
        with self._account.lock:
            since = self._since(parameters.get("pageToken", ""))
            shared = parameters.get("includeItemsFromAllDrives") == "true"
            drive_id = parameters.get("driveId", "")
            entries = self._account.changes(since, drive_id, shared)
            if parameters.get("includeRemoved") == "false":
                entries = (e for e in entries if not e.removed)
            page = list(islice(entries, size + 1))
            reply: dict[str, Any] = {"kind": "drive#changeList"}
            if len(page) > size:
                reply["nextPageToken"] = str(page[size].number)
            else:
                reply["newStartPageToken"] = str(self._account.number + 1)
            reply["changes"] = [self._change(e.file_id, removed=e.removed) for e in page[:size]]
        shown: dict[str, Any] = masks.masked(reply, mask)
        return shown

    def _change(self, file_id: str, *, removed: bool) -> dict[str, Any]:
        item = self._account.visible(file_id)
        entry = {
            "kind": "drive#change",
            "changeType": "file",
            "type": "file",
            "time": "2026-01-01T00:00:00.000Z",
            "fileId": file_id,
            "removed": removed or item is None,
        }
        return entry if item is None or removed else entry | {"file": self._resource(item)}

    def _since(self, token: str) -> int:
        if not token.isdigit():
            raise invalid("pageToken")
        if int(token) < self._account.oldest_token:
            raise Refusal(410, "gone", "The page token has expired.", location="pageToken")
        return int(token)

    def _candidates(self, query: queries.Query) -> Iterator[Item]:
        """Items in the order of making, of the folders asked for where there are such."""
        account = self._account
        if query.parents is None:
            return iter(account.items.values())
        if self.multi_parent_bug and len(query.parents) > 1:
            return iter(())
        ids = (child for folder in query.parents for child in account.children.get(folder, ()))
        items = [account.items[child] for child in ids]
        return iter(sorted(items, key=lambda item: item.place))

    def _is_in(self, item: Item, parameters: Parameters) -> bool:
        """Whether it belongs to the drive, or collection of drives, that is asked about."""
        if not item.is_shared or not item.parent:
            return False
        corpora = parameters.get("corpora", "user")
        if corpora == "drive":
            return item.drive_id == parameters["driveId"]
        return corpora == "allDrives" or not item.drive_id

    def _item(self, file_id: str, parameters: Parameters) -> Item:
        item = self._account.visible(file_id)
        if item is None or (item.drive_id and parameters.get("supportsAllDrives") != "true"):
            raise not_found(file_id)
        return item

    def _resource(self, item: Item) -> dict[str, Any]:
        target = self._account.visible(item.target) if item.target else None
        return item.resource(
            trashed=self._account.is_trashed(item),
            target_type=target.mime_type if target else "application/octet-stream",
        )

    def _check_drives(self, parameters: Parameters) -> None:
        corpora = parameters.get("corpora", "user")
        if corpora not in ("user", "drive", "allDrives", "domain"):
            raise invalid("corpora")
        shared = corpora in ("drive", "allDrives")
        if shared and not (
            parameters.get("includeItemsFromAllDrives") == "true"
            and parameters.get("supportsAllDrives") == "true"
        ):
            raise Refusal(
                403,
                "teamDrivesParameterMustBeTrue",
                "The includeItemsFromAllDrives and supportsAllDrives parameters must be true.",
            )
        if (corpora == "drive") != ("driveId" in parameters):
            raise Refusal(
                400, "invalid", "driveId and corpora=drive go together.", location="corpora"
            )
        self._check_drive(parameters)

    def _check_drive(self, parameters: Parameters) -> None:
        drive_id = parameters.get("driveId", "")
        if not drive_id:
            return
        item = self._account.visible(drive_id)
        if item is None or parameters.get("supportsAllDrives") != "true":
            raise Refusal(
                404, "notFound", f"Shared drive not found: {drive_id}", location="driveId"
            )

    def _list_place(self, parameters: Parameters) -> int:
        token = parameters.get("pageToken")
        if not token:
            return -1
        try:
            place, asked = json.loads(base64.urlsafe_b64decode(token))
        except ValueError:
            raise invalid("pageToken") from None
        if asked != _asked(parameters):
            raise invalid("pageToken")
        return int(place)


def _size(parameters: Parameters, largest: int) -> int:
    try:
        size = int(parameters.get("pageSize", "100"))
    except ValueError:
        raise invalid("pageSize") from None
    if size < 1:
        raise invalid("pageSize")
    return min(size, largest)


def _asked(parameters: Parameters) -> str:
    """What must not change from page to page."""
    same = {k: v for k, v in parameters.items() if k in ("q", "corpora", "driveId", "orderBy")}
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:32]


def _list_token(parameters: Parameters, place: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([place, _asked(parameters)]).encode()).decode()
