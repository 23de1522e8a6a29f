"""What a drive holds: files, folders, shortcuts and Google's own documents."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

ROOT: Final = "0ARootOfMyDrive"
"""The id that the alias `root` stands for."""

FOLDER: Final = "application/vnd.google-apps.folder"
SHORTCUT: Final = "application/vnd.google-apps.shortcut"
DOCUMENT: Final = "application/vnd.google-apps.document"
SLIDES: Final = "application/vnd.google-apps.presentation"
PDF: Final = "application/pdf"
DOCX: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

EXPORTS: Final = {DOCUMENT: (PDF, DOCX, "text/plain"), SLIDES: (PDF, "text/plain")}
"""Google's own formats → what they can be exported to."""


@dataclass(slots=True)
class Item:
    """One entry of a drive; `place` is its number in the order of making, which listings follow."""

    id: str
    name: str
    mime_type: str
    parent: str
    place: int
    created: str
    modified: str
    drive_id: str = ""
    content: bytes | None = None
    exports: Mapping[str, bytes] = field(default_factory=dict)
    target: str = ""
    trashed: bool = False
    version: int = 1
    revision: int = 1
    is_abusive: bool = False
    is_shared: bool = True
    """Whether the account sees it at all."""

    @property
    def is_folder(self) -> bool:
        return self.mime_type == FOLDER

    def resource(self, *, trashed: bool, target_type: str) -> dict[str, Any]:
        """The resource as the API shows it, every field of it that this server knows."""
        shown: dict[str, Any] = {
            "kind": "drive#file",
            "id": self.id,
            "name": self.name,
            "mimeType": self.mime_type,
            "trashed": trashed,
            "explicitlyTrashed": self.trashed,
            "version": str(self.version),
            "createdTime": self.created,
            "modifiedTime": self.modified,
            "capabilities": {"canDownload": True},
        }
        if self.parent:
            shown["parents"] = [self.parent]
        if self.drive_id:
            shown["driveId"] = self.drive_id
        if self.target:
            shown["shortcutDetails"] = {"targetId": self.target, "targetMimeType": target_type}
        if self.content is not None:
            shown |= {
                "size": str(len(self.content)),
                "md5Checksum": hashlib.md5(self.content).hexdigest(),
                "sha256Checksum": hashlib.sha256(self.content).hexdigest(),
                "headRevisionId": f"{self.id[:8]}rev{self.revision}",
            }
        elif self.exports:
            shown["size"] = "1024"
        return shown
