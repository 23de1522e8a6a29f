"""CVAT's own XML (1.1, for images and for video) into label sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import Element

from aion_dagster.errors import LabelError
from aion_dagster.formats.boxes import usable_polygon
from aion_dagster.formats.cvat_shapes import SHAPES, BadShapeError, Shape, read_shape
from aion_dagster.formats.label_rows import AnnotationRow, LabelRows, positive_size, split_named
from aion_dagster.formats.voc_xml import HOSTILE, UNREADABLE, children
from aion_dagster.values import Category, LabelSet

_CHILDREN: Final = frozenset({"version", "meta", "image", "track"})
Size = tuple[int | None, int | None]
_FURTHEST_FRAME: Final = 10_000_000


def is_cvat(path: Path) -> bool:
    """Whether a file is one of CVAT's: <annotations> that begins with a version, a <meta>, a picture or a track.

    Raises:
        UNREADABLE, HOSTILE: as `children`.
    """
    for root, child in children(path):
        return root.tag == "annotations" and child.tag in _CHILDREN
    return False


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
        if not is_cvat(path):
            raise LabelError(f"{path}: expected CVAT's <annotations> with <image> or <track>")
        reader = _Reader(label_file)
        for _, child in children(path):
            reader.add(child)
    except HOSTILE as error:
        raise LabelError(
            f"{path}: XML that declares entities is not read ({type(error).__name__}); remove the declaration"
        ) from error
    except UNREADABLE as error:
        raise LabelError(f"{path}: not a whole XML file ({error}); export it again") from error
    return reader.label_set()


class _Reader:
    def __init__(self, label_file: str) -> None:
        self._file = label_file
        self._rows = LabelRows()
        self._declared: dict[str, None] = {}
        self._found: dict[str, None] = {}
        self._frames: dict[int, int] = {}
        self._names: dict[str, int] = {}
        self._left_out: Counter[str] = Counter()
        self._frame_size: Size = (None, None)
        self._has_tracks = False

    def add(self, element: Element) -> None:
        """The next child of the document."""
        if element.tag == "image":
            self._image(element)
        elif element.tag == "track":
            self._track(element)
        elif element.tag == "meta":
            self._meta(element)
        elif element.tag != "version":
            self._left_out[element.tag] += 1

    def label_set(self) -> LabelSet:
        """Everything that was read."""
        for tag, count in sorted(self._left_out.items()):
            detail = f"{count} elements <{tag}> are not known, and not read"
            self._rows.lose("dropped", self._file, detail)
        return self._rows.label_set([Category(n, "") for n in self._declared | self._found])

    def _meta(self, meta: Element) -> None:
        """Declared classes, but for tags and the parts of skeletons (which are keypoints); the size of frames."""
        for label in meta.iter("label"):
            name = (label.findtext("name") or "").strip()
            is_part = (label.findtext("parent") or "").strip()
            if name and label.findtext("type") != "tag" and not is_part:
                self._declared.setdefault(name)
        size = meta.find(".//original_size")
        if size is not None:
            self._frame_size = positive_size(size.findtext("width"), size.findtext("height"))

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

    def _track(self, track: Element) -> None:
        if not self._has_tracks:
            self._has_tracks = True
            detail = "tracks: each frame is a picture of its own, called frame_000000 and so on as CVAT exports it"
            self._rows.lose("converted", self._file, detail)
        number = track.get("id", "?")
        extra = {"track_id": _whole(number)}
        for child in track:
            subject = f"{self._file}: track {number}, frame {child.get('frame', '?')}"
            if child.get("outside") == "1":
                continue
            image = self._frame(child, self._frame_size)
            if image is None:
                self._rows.lose("invalid", subject, "it has no frame")
                continue
            child.set("label", child.get("label") or track.get("label") or "")
            if track.get("group_id"):
                child.set("group_id", track.get("group_id") or "")
            self._shape(child, image, self._frame_size, subject, extra)

    def _frame(self, element: Element, size: Size) -> int | None:
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
        size: Size,
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
            flags[name] = _whole(value)
    return flags


def _whole(text: str) -> int | str:
    """A whole number where the text is one."""
    try:
        return int(text)
    except ValueError:
        return text


def _attributes(element: Element, subject: str, rows: LabelRows) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for child in element.findall("attribute"):
        name = (child.get("name") or "").strip()
        if not name or name in seen:
            rows.lose("dropped", subject, f"an attribute without a name of its own: {name!r}")
            continue
        seen.add(name)
        yield name, (child.text or "").strip()
