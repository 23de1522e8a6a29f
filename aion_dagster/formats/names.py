"""File names of an export: safe on every system, unique without regard to case or extension."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Final

from aion_dagster.values import Loss

COMPONENT_BYTES: Final = 200
"""A folder or file name stays below this many bytes of UTF-8; ext4, APFS and NTFS end at 255."""

PICTURE_EXTENSIONS: Final = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".heic", ".heif"}
)  # fmt: skip
"""By which pictures are known among the files that come with labels; in lower case, with the dot."""

_DRIVE = re.compile(r"^[A-Za-z]:")
_HIDING = re.compile(r"^[.\s]+")
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Control characters, lone surrogates, line and paragraph separators: list files are read by line."""
_NOT_IN_XML = "\ufffe\uffff"

_SUFFIX_LENGTHS: Final = (8, 16, 32, 64)


def stem(name: str) -> str:
    """`name` without the extension of its last component: what label files are called after."""
    folder, slash, last = name.rpartition("/")
    head, dot, _ = last.rpartition(".")
    return folder + slash + (head if dot and head else last)


def extension(name: str) -> str:
    """The extension of the last component with its dot, as written, or an empty string."""
    return name[len(stem(name)) :]


def export_names(
    names: Sequence[str], digests: Sequence[str]
) -> tuple[list[str], tuple[Loss, ...]]:
    """A name inside the images root of an export for every picture.

    The names are POSIX paths, relative, without `..`, drive, backslash, control character, or a folder called
    `images` (ultralytics finds labels by replacing the last `/images/`), in Unicode NFC, each component below 200
    bytes. Pictures whose names differ only in case or extension, and a file that would stand where another's folder
    or label file stands, all get the beginning of their digest as a suffix.

    Args:
        names: the pictures' own names, relative to their source.
        digests: the pictures' SHA-256 (hex), in the same order.

    Returns:
        The names in the order of the input, and a loss of kind "renamed" for each that changed. A picture's new name
        does not depend on the order of the input.
    """
    cleaned = [_clean(name, digest) for name, digest in zip(names, digests, strict=True)]
    unique = _separate(cleaned, digests)
    losses = {
        Loss("renamed", old, f"is {new} in exports: {_reason(safe, new)}")
        for old, safe, new in zip(names, cleaned, unique, strict=True)
        if old != new
    }
    return unique, tuple(sorted(losses, key=lambda loss: (loss.subject, loss.detail)))


def _reason(safe: str, new: str) -> str:
    if safe == new:
        return "its own name is not safe in every loader or on every system"
    return "another picture has this name but for case or extension"


def _clean(name: str, digest: str) -> str:
    path = _DRIVE.sub("", unicodedata.normalize("NFC", name).replace("\\", "/"))
    parts = [part for part in map(_clean_component, path.split("/")) if part]
    if not parts:
        return digest[:16]
    folders = [f"{p}_" if p.lower() == "images" else p for p in parts[:-1]]
    return "/".join([*(_shorten(p, "", digest) for p in folders), _shorten_file(parts[-1], digest)])


def _clean_component(part: str) -> str:
    """Without control characters; without dots in front and space around, which hide a file or are stripped."""
    text = "".join("_" if _is_unsafe(c) else c for c in part)
    text = _HIDING.sub("", text).rstrip()
    return stem(text).rstrip() + extension(text)


def _is_unsafe(character: str) -> bool:
    return unicodedata.category(character) in _UNSAFE_CATEGORIES or character in _NOT_IN_XML


def _shorten_file(name: str, digest: str) -> str:
    return _shorten(stem(name), extension(name), digest)


def _shorten(head: str, tail: str, digest: str) -> str:
    if len((head + tail).encode()) < COMPONENT_BYTES:
        return head + tail
    if len(tail.encode()) > 16:  # not an extension, just a dot in a long name
        head, tail = head + tail, ""
    return _cut(head, f"-{digest[:8]}{tail}")


def _cut(head: str, tail: str) -> str:
    """`head` cut at a character so that it stays below the limit together with `tail`."""
    room = COMPONENT_BYTES - 1 - len(tail.encode())
    return head.encode()[:room].decode(errors="ignore").rstrip() + tail


def _separate(names: Sequence[str], digests: Sequence[str]) -> list[str]:
    current = list(names)
    for length in _SUFFIX_LENGTHS:
        clashes = _clashes(current)
        if not clashes:
            return current
        for i in clashes:
            current[i] = _suffixed(names[i], digests[i][:length])
    for place, i in enumerate(sorted(_clashes(current), key=lambda i: (names[i], digests[i]))):
        current[i] = _suffixed(names[i], f"{digests[i]}-{place}")
    return current


def _clashes(names: Sequence[str]) -> list[int]:
    keys = [_key(stem(name)) for name in names]
    count = Counter(keys)
    folders = {_key(f) for name in set(names) for f in _folders(name)}
    return [
        i
        for i, (name, key) in enumerate(zip(names, keys, strict=True))
        if count[key] > 1
        or (folders and not folders.isdisjoint({_key(name), f"{key}.txt", f"{key}.xml"}))
    ]


def _folders(name: str) -> list[str]:
    parts = name.split("/")[:-1]
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]


def _key(path: str) -> str:
    return unicodedata.normalize("NFC", path.casefold())


def _suffixed(name: str, suffix: str) -> str:
    folder, slash, last = name.rpartition("/")
    return folder + slash + _cut(stem(last), f"-{suffix}{extension(last)}")
