"""Entries of Google Drive as values: what they are, which version, and under which name they are listed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

FOLDER: Final = "application/vnd.google-apps.folder"
SHORTCUT: Final = "application/vnd.google-apps.shortcut"
NATIVE: Final = "application/vnd.google-apps."
"""Prefix of the types that have no bytes of their own."""

FIELDS: Final = (
    "id,name,mimeType,parents,trashed,size,md5Checksum,sha256Checksum,headRevisionId,version,modifiedTime,driveId,"
    "shortcutDetails(targetId,targetMimeType)"
)
"""What is asked for of every entry."""

SCHEME: Final = "drive://"

ExportChoice = Literal["auto", "pdf", "docx", "none"]

EXPORT_TYPES: Final = {
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}
"""Format of an export → its MIME type."""

_EXPORTABLE: Final = {
    NATIVE + "document": ("pdf", "docx"),
    NATIVE + "presentation": ("pdf",),
}
"""Google's own types → formats of documents they can be had in, the one that is preferred first."""


@dataclass(frozen=True, slots=True)
class DriveFile:
    """A file, folder or shortcut. `version` changes whenever the bytes may have changed; empty for folders."""

    id: str
    name: str
    mime_type: str
    parent: str
    trashed: bool
    size: int
    version: str
    modified_at: datetime
    drive_id: str = ""
    target_id: str = ""

    @classmethod
    def from_resource(cls, resource: Mapping[str, Any]) -> DriveFile:
        """An entry as the API describes it; fields may be missing."""
        parents = resource.get("parents") or [""]
        shortcut = resource.get("shortcutDetails") or {}
        return cls(
            id=str(resource["id"]),
            name=str(resource.get("name") or ""),
            mime_type=str(resource.get("mimeType") or ""),
            parent=str(parents[0]),
            trashed=bool(resource.get("trashed")),
            size=int(resource.get("size") or 0),
            version=_version(resource),
            modified_at=_moment(str(resource.get("modifiedTime") or "")),
            drive_id=str(resource.get("driveId") or ""),
            target_id=str(shortcut.get("targetId") or ""),
        )

    @property
    def is_folder(self) -> bool:
        """Whether it holds other entries."""
        return self.mime_type == FOLDER

    @property
    def is_shortcut(self) -> bool:
        """Whether it stands for another entry."""
        return self.mime_type == SHORTCUT


@dataclass(frozen=True, slots=True)
class Content:
    """How the bytes of a listed file are asked for, as its version says.

    `file_id` is the file that has them, `version` the version of that file without what listing added, `export` the
    format of a Google document, empty for files that have bytes of their own.
    """

    file_id: str
    version: str
    export: str

    @classmethod
    def of(cls, uri: str, listed: str) -> Content:
        """Of a reference. For a shortcut the version names the file that it stands for."""
        version, _, target = listed.partition("@")
        version, _, export = version.partition("+")
        return cls(target or uri.removeprefix(SCHEME), version, export)


def listed_version(file: DriveFile, export: str, target: str = "") -> str:
    """The version that a reference carries; reading needs no more than it (see `Content`)."""
    return file.version + (f"+{export}" if export else "") + (f"@{target}" if target else "")


def export_format(mime_type: str, documents: Collection[str], choice: ExportChoice) -> str | None:
    """The format that a file is exported to: empty for bytes as they are, None where it is not taken at all.

    Args:
        mime_type: of the file.
        documents: formats of documents that the library takes in.
        choice: the format that is asked for; auto takes what `documents` names, PDF before DOCX.
    """
    if not mime_type.startswith(NATIVE):
        return ""
    possible = [f for f in _EXPORTABLE.get(mime_type, ()) if f in documents]
    if choice == "none" or not possible:
        return None
    return choice if choice in possible else possible[0]


def path_part(name: str, file_id: str) -> str:
    """A name as one part of a path: Drive allows anything, slashes and dots included."""
    part = name.encode("utf-8", "replace").decode("utf-8").replace("/", "／")
    if part.strip(".") or not part:
        return part or file_id
    return part.replace(".", "．")


def _version(resource: Mapping[str, Any]) -> str:
    """The content's checksum where there is one; MD5 first, which Drive has for every file with bytes.

    Google's own documents have none, nor a revision: `version` there counts every change, of their sharing too.
    """
    if resource.get("mimeType") in (FOLDER, SHORTCUT):
        return ""
    for field, prefix in (
        ("md5Checksum", "md5"),
        ("sha256Checksum", "sha256"),
        ("headRevisionId", "rev"),
    ):
        if resource.get(field):
            return f"{prefix}-{resource[field]}"
    return f"v{resource.get('version', '')}-{resource.get('modifiedTime', '')}"


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return datetime(1970, 1, 1, tzinfo=UTC)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
