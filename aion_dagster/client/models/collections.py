"""Collections of files: what searches and chats found, to be joined, filtered and handed on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self, overload

UNKNOWN: Final = "unknown"
MIXED: Final = "mixed"


@dataclass(frozen=True, slots=True)
class FileRef:
    """A file and what is known of it."""

    id: str
    media_type: str = "application/octet-stream"
    filename: str | None = None
    size_bytes: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def _known(self) -> tuple[int, bool]:
        return len(self.metadata), self.filename is not None


@dataclass(frozen=True, slots=True)
class FileCollection:
    """Files in an order; every operation returns a new collection.

    Args:
        refs: the files.
        content_type: images, documents, links, videos, mixed or unknown.
        source_capability: which capability found them, several joined by `+`.
    """

    refs: tuple[FileRef, ...] = ()
    content_type: str = UNKNOWN
    source_capability: str | None = None

    @classmethod
    def from_ids(
        cls,
        ids: Iterable[str],
        content_type: str = UNKNOWN,
        source_capability: str | None = None,
    ) -> Self:
        """A collection of files of which nothing but the id is known."""
        return cls(tuple(FileRef(each) for each in ids), content_type, source_capability)

    @classmethod
    def merge(cls, *collections: FileCollection) -> Self:
        """All files of several collections, each once, where it stood first; of two, the one more is known of."""
        refs: dict[str, FileRef] = {}
        for ref in (ref for collection in collections for ref in collection):
            other = refs.get(ref.id)
            if other is None or ref._known > other._known:
                refs[ref.id] = ref
        types = {c.content_type for c in collections} - {UNKNOWN}
        sources = dict.fromkeys(c.source_capability for c in collections if c.source_capability)
        return cls(
            tuple(refs.values()),
            MIXED if len(types) > 1 else next(iter(types), UNKNOWN),
            "+".join(sources) or None,
        )

    @property
    def ids(self) -> list[str]:
        """The files' ids."""
        return [ref.id for ref in self.refs]

    @property
    def count(self) -> int:
        """How many files there are."""
        return len(self.refs)

    def filter(self, predicate: Callable[[FileRef], bool]) -> Self:
        """The files for which `predicate` holds."""
        return self._with(ref for ref in self.refs if predicate(ref))

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON has it."""
        return asdict(self) | {"refs": [asdict(ref) for ref in self.refs]}

    def __len__(self) -> int:
        """How many files there are."""
        return len(self.refs)

    def __iter__(self) -> Iterator[FileRef]:
        """The files."""
        return iter(self.refs)

    @overload
    def __getitem__(self, key: int) -> FileRef: ...

    @overload
    def __getitem__(self, key: slice) -> Self: ...

    def __getitem__(self, key: int | slice) -> FileRef | Self:
        """One file, or a collection of several."""
        return self._with(self.refs[key]) if isinstance(key, slice) else self.refs[key]

    def _with(self, refs: Iterable[FileRef]) -> Self:
        return type(self)(tuple(refs), self.content_type, self.source_capability)


def images_of(
    images: Sequence[tuple[str, str | None, Mapping[str, Any]]], source: str | None = None
) -> FileCollection:
    """Pictures, each (id, file name, what else is known); those without an id are left out."""
    refs = (
        FileRef(each, "image/*", name or None, metadata=_given(more))
        for each, name, more in images
        if each
    )
    return FileCollection(tuple(refs), "images", source)


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
