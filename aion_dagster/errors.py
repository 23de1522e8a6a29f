"""The package's errors: each names the file or row and says what to do."""

from __future__ import annotations


class AionError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigError(AionError):
    """The configuration cannot be used; the message names the field and the way out."""


class SourceError(AionError):
    """A source cannot be scanned or read."""


class SourceUnavailableError(SourceError):
    """A source cannot be reached now, or is too busy; the same may work later. No file is to blame."""


class CredentialsError(SourceError):
    """A source refuses the credentials, or there are none; scans go on where they stopped once that is mended."""


class CursorExpiredError(SourceError):
    """A source no longer knows where a pass stood; the next one lists everything."""


class FileVanishedError(SourceError):
    """The file was listed, and is not there any more."""


class FileChangedError(SourceError):
    """The file changed after it was listed; its new version comes with the next scan."""


class FileTooLargeError(SourceError):
    """The file is larger than the configuration allows."""


class OutageError(AionError):
    """A file cannot be read because its whole source cannot: the step fails and is tried again, no row is written."""


class StorageError(AionError):
    """The store cannot be read or written (missing, read-only, disk full, newer format)."""


class StoreLockedError(StorageError):
    """Another process works on this store."""


class LabelError(AionError):
    """A label file cannot be read as the format it claims to be."""


class ExportError(AionError):
    """An export cannot be written."""


class UnavailableError(AionError):
    """A capability is not there (extra not installed, no model configured); the message says how to get it."""
