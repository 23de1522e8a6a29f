"""CVAT's own XML (1.1, for images and for video) into label sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import Element

from aion_dagster.errors import LabelError
from aion_dagster.formats.boxes import usable_polygon
from aion_dagster.formats.cvat_shapes import SHAPES, BadShapeError, Shape, read_shape
from aion_dagster.formats.label_rows import AnnotationRow, LabelRows, positive_size, split_named
from aion_dagster.formats.voc_xml import HOSTILE, UNREADABLE, parsed
from aion_dagster.values import Category, LabelSet

_PLAIN: Final = frozenset(
    {"label", "source", "occluded", "z_order", "frame", "outside", "keyframe"}
)
_FURTHEST_FRAME: Final = 10_000_000


def is_cvat(document: Element) -> bool:
    """Whether a document is one of CVAT's: <annotations> with a version, a <meta>, or pictures right below."""
    return document.tag == "annotations" and any(
        document.find(name) is not None for name in ("version", "meta", "image", "track")
    )


def read_cvat(path: Path, label_file: str) -> LabelSet:
    """One CVAT file as a label set.

    Boxes, polygons and masks stay what they are; a turned box becomes its polygon and an ellipse one of 36 corners, with
    a loss "converted"; the points of a skeleton become keypoints; tags are kept as such. Lines, single points and cuboids
    have no place here and are losses. Attributes, `occluded`, `z_order` and groups are kept. Of a track each frame in
    which it is seen is an annotation of the picture `frame_<number>`, as CVAT names frames when it exports them.

    Raises:
        LabelError: the file is not CVAT's, not XML, or hostile (entities, DTD).
    """
    try:
        document = parsed(path)
    except HOSTILE as error:
        raise LabelError(
            f"{path}: XML that declares entities is not read ({type(error).__name__}); remove the declaration"
        ) from error
    except UNREADABLE as error:
        raise LabelError(f"{path}: not a whole XML file ({error}); export it again") from error
    if not is_cvat(document):
        raise LabelError(f"{path}: expected CVAT's <annotations> with <image> or <track>")
    return _Reader(document, label_file).read()


class _Reader:
    def __init__(self, document: Element, label_file: str) -> None:
        self._document, self._file = document, label_file
        self._rows = LabelRows()
        self._found: dict[str, None] = {}
        self._frames: dict[int, int] = {}
        self._names: dict[str, int] = {}
        self._left_out: Counter[str] = Counter()

    def read(self) -> LabelSet:
        for image in self._document.iter("image"):
            self._image(image)
        tracks = self._document.findall("track")
        if tracks:
            self._tracks(tracks)
        for tag, count in sorted(self._left_out.items()):
            detail = f"{count} elements <{tag}> are not known, and not read"
            self._rows.lose("dropped", self._file, detail)
        declared = [(n.findtext("name") or "").strip() for n in self._document.iter("label")]
        names = dict.fromkeys([n for n in declared if n and n in self._kept(declared)])
        return self._rows.label_set([Category(n, "") for n in names | self._found])

    def _kept(self, declared: Sequence[str]) -> set[str]:
        """Declared classes, but for tags and the parts of skeletons (which are keypoints)."""
        others = {
            (label.findtext("name") or "").strip()
            for label in self._document.iter("label")
            if label.findtext("type") == "tag" or (label.findtext("parent") or "").strip()
        }
        return {*declared} - others

    def _image(self, element: Element) -> None:
        name = (element.get("name") or "").strip().replace("\\", "/")
        subject = f"{self._file}: image {element.get('id', '?')}"
        if not name:
            self._rows.lose("invalid", subject, "a picture without a name")
            return
        split = split_named(element.get("subset") or "")
        size = positive_size(element.get("width"), element.get("height"))
        if name in self._names:
            self._rows.lose("ambiguous", subject, f"{name} is there twice; its labels are united")
        else:
            self._names[name] = self._rows.add_image(name, self._file, size=size, split=split)
        for place, child in enumerate(element, start=1):
            if child.tag == "tag":
                self._tag(child, self._names[name], f"{subject}, {place}")
            else:
                self._shape(child, self._names[name], size, f"{subject}, {place}", {})

    def _tracks(self, tracks: Sequence[Element]) -> None:
        size = self._document.find("meta//original_size")
        known = positive_size(None if size is None else size.findtext("width"), None if size is None else size.findtext("height"))  # fmt: skip
        self._rows.lose(
            "converted",
            self._file,
            f"{len(tracks)} tracks: each frame is a picture of its own, called frame_000000 and so on as CVAT exports it",
        )
        for track in tracks:
            number = track.get("id", "?")
            extra = {"track_id": int(number) if number.isdecimal() else number}
            for child in track:
                subject = f"{self._file}: track {number}, frame {child.get('frame', '?')}"
                if child.get("outside") == "1":
                    continue
                image = self._frame(child, known)
                if image is None:
                    self._rows.lose("invalid", subject, "it has no frame")
                    continue
                child.set("label", child.get("label") or track.get("label") or "")
                if track.get("group_id"):
                    child.set("group_id", track.get("group_id") or "")
                self._shape(child, image, known, subject, extra)

    def _frame(self, element: Element, size: tuple[int | None, int | None]) -> int | None:
        text = element.get("frame") or ""
        if not text.isdecimal() or int(text[:12]) > _FURTHEST_FRAME:
            return None
        number = int(text)
        if number not in self._frames:
            name = f"frame_{number:06d}"
            self._frames[number] = self._rows.add_image(name, self._file, size=size)
        return self._frames[number]

    def _tag(self, element: Element, image: int, subject: str) -> None:
        label = (element.get("label") or "").strip()
        if not label:
            self._rows.lose("invalid", subject, "a tag without a label")
            return
        extra = dict(_attributes(element, subject, self._rows))
        self._rows.add(AnnotationRow(image, label, None, subject, origin="tags", attributes=extra))

    def _shape(
        self,
        element: Element,
        image: int,
        size: tuple[int | None, int | None],
        subject: str,
        extra: Mapping[str, Any],
    ) -> None:
        if element.tag not in SHAPES:
            self._left_out[element.tag] += 1
            return
        label = (element.get("label") or "").strip()
        try:
            if not label:
                raise BadShapeError("it has no label")
            shape = read_shape(element, size)
            _check(shape)
        except BadShapeError as error:
            self._rows.lose(error.kind, subject, f"{element.tag} {label}: {error}")
            return
        if shape.converted:
            self._rows.lose("converted", subject, f"{element.tag} {label}: {shape.converted}")
        self._found.setdefault(label)
        attributes = {**extra, **shape.extra, **_flags(element)}
        attributes |= dict(_attributes(element, subject, self._rows))
        self._rows.add(
            AnnotationRow(
                image,
                label,
                shape.box,
                subject,
                segmentation=shape.mask,
                keypoints=shape.keypoints,
                attributes=attributes,
            )
        )


def _check(shape: Shape) -> None:
    if shape.box[2] <= 0 or shape.box[3] <= 0:
        raise BadShapeError("it has no width or height")
    for ring in (shape.mask or {}).get("polygons") or ():
        if not usable_polygon(ring):
            raise BadShapeError("a polygon of fewer than three points")


def _flags(element: Element) -> dict[str, Any]:
    """What CVAT says of a shape beside its attributes, as far as it says anything."""
    flags: dict[str, Any] = {}
    if element.get("occluded") == "1":
        flags["occluded"] = True
    for name in ("z_order", "group_id"):
        value = element.get(name) or "0"
        if value not in ("0", ""):
            flags[name] = int(value) if value.lstrip("-").isdecimal() else value
    return flags


def _attributes(element: Element, subject: str, rows: LabelRows) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for child in element.findall("attribute"):
        name = (child.get("name") or "").strip()
        if not name or name in seen:
            rows.lose("dropped", subject, f"an attribute without a name of its own: {name!r}")
            continue
        seen.add(name)
        yield name, (child.text or "").strip()
