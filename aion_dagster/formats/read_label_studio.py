"""Label Studio's exports (JSON and JSON-MIN) into label sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from aion_dagster.errors import LabelError
from aion_dagster.formats.coco_rows import shown
from aion_dagster.formats.json_stream import Elements, pieces
from aion_dagster.formats.label_rows import AnnotationRow, LabelRows, positive_size
from aion_dagster.formats.label_studio_regions import BadValueError, Region, labels_of, read_region
from aion_dagster.formats.label_studio_results import (
    CHOICE_KEYS,
    SHAPE_KINDS,
    has_value,
    is_plain,
    minimal_results,
    united_results,
)
from aion_dagster.formats.label_studio_values import picture_name, picture_reference
from aion_dagster.values import Category, LabelSet


def is_label_studio(content: Any) -> bool:
    """Whether JSON content looks like an export of Label Studio: a list of tasks."""
    first = next((piece[0] for piece in pieces(content)), None)
    if not isinstance(first, dict):
        return False
    if isinstance(first.get("data"), dict):
        return any(isinstance(first.get(k), list) for k in ("annotations", "completions"))
    return picture_reference(first) is not None and (
        "annotation_id" in first or "annotator" in first or any(map(_is_regions, first.values()))
    )


def _is_regions(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(v, dict) for v in value)
        and any(k.endswith("labels") for v in value for k in v)
    )


def read_label_studio(content: Any, label_file: str) -> LabelSet:
    """One export as a label set.

    Percentages become pixels of the size that the export says, so that a picture that was labelled as it is stored is
    told from one that was labelled upright. A turned rectangle becomes the polygon of its corners and an ellipse one of 36
    corners, with a loss "converted"; brush strokes become masks, keypoints annotations of one keypoint, choices tags,
    texts about the whole picture captions. Of several annotations of a task the ground truth counts, else the latest.
    A task that nobody labelled names no picture; one that was labelled with nothing is a picture without objects.

    Args:
        content: what `read_json` says is in the file, or parsed JSON.
        label_file: the name of the file in losses and `origin_ref`.

    Raises:
        LabelError: the content is no list of tasks.
    """
    if not isinstance(content, (list, Elements)):
        raise LabelError(f"{label_file}: expected Label Studio's list of tasks (JSON or JSON-MIN)")
    reader = _Reader(label_file)
    for piece in pieces(content):
        for task in piece:
            reader.task(task)
    return reader.label_set()


class _Reader:
    def __init__(self, label_file: str) -> None:
        self._file = label_file
        self._rows = LabelRows()
        self._found: dict[str, None] = {}
        self._predictions = 0
        self._unlabelled = 0
        self._place = -1

    def label_set(self) -> LabelSet:
        if self._predictions:
            detail = f"predictions of {self._predictions} tasks: only annotations are read"
            self._rows.lose("dropped", self._file, detail)
        if self._unlabelled:
            detail = f"{self._unlabelled} tasks that nobody labelled name no picture"
            self._rows.lose("dropped", self._file, detail)
        return self._rows.label_set([Category(name, "") for name in self._found])

    def task(self, task: Any) -> None:
        self._place += 1
        subject = f"{self._file}: task {task.get('id', f'[{self._place}]') if isinstance(task, dict) else f'[{self._place}]'}"
        if not isinstance(task, dict):
            self._rows.lose("invalid", subject, "not an object")
            return
        data = task["data"] if isinstance(task.get("data"), dict) else task
        reference = picture_reference(data)
        name = picture_name(reference) if reference else None
        if name is None and isinstance(task.get("file_upload"), str):
            name = picture_name(f"/data/upload/{task['file_upload']}")
        if not name:
            self._rows.lose("invalid", subject, f"it does not say which picture: {shown(data)}")
            return
        results = self._results(task, subject) if data is not task else minimal_results(task)
        if results is None:
            return
        extra = {
            k: v for k, v in data.items() if is_plain(v) and v != reference and k not in CHOICE_KEYS
        }
        _Task(self._rows, self._found, subject, self._file).add(name, results, extra)

    def _results(self, task: Mapping[str, Any], subject: str) -> list[Any] | None:
        """The result of the annotation that counts; None where the task is not labelled."""
        made = task.get("annotations", task.get("completions")) or []
        listed = [a for a in made if isinstance(a, dict)] if isinstance(made, list) else []
        self._predictions += bool(task.get("predictions"))
        skipped = [a for a in listed if a.get("was_cancelled") or a.get("skipped")]
        usable = [a for a in listed if a not in skipped]
        if skipped:
            self._rows.lose(
                "dropped", subject, f"{len(skipped)} annotations that were skipped or cancelled"
            )
        if not usable:
            self._unlabelled += not skipped
            return None
        best = max(
            usable, key=lambda a: (bool(a.get("ground_truth")), str(a.get("updated_at") or ""))
        )
        if len(usable) > 1:
            which = "the ground truth" if best.get("ground_truth") else "the latest"
            detail = f"{len(usable) - 1} of {len(usable)} annotations; {which} is kept"
            self._rows.lose("dropped", subject, detail)
        result = best.get("result")
        return result if isinstance(result, list) else []


class _Task:
    """The results of one task on their way into rows."""

    def __init__(
        self, rows: LabelRows, found: dict[str, None], subject: str, label_file: str
    ) -> None:
        self._rows, self._found, self._subject, self._file = rows, found, subject, label_file

    def add(self, name: str, results: Sequence[Any], extra: Mapping[str, Any]) -> None:
        usable = [r for r in results if has_value(r)]
        sizes = Counter(positive_size(r.get("original_width"), r.get("original_height")) for r in usable)  # fmt: skip
        sizes.pop((None, None), None)
        size = sizes.most_common(1)[0][0] if sizes else (None, None)
        image = self._rows.add_image(name, self._file, size=size, attributes=extra)
        together = list(united_results(usable))
        regions = {r.get("id") for r in together if self._kind(r) in SHAPE_KINDS}
        for place, result in enumerate(results):
            if not has_value(result):
                kind = result.get("type") if isinstance(result, dict) else None
                self._lose(
                    "dropped" if kind else "invalid", place, f"{kind or 'no object'}: not read"
                )
        for place, result in enumerate(together):
            kind = self._kind(result)
            if kind in SHAPE_KINDS:
                self._region(kind, result, image, size, place)
            elif kind == "choices":
                self._tags(result, image, place)
            elif kind == "textarea" and result.get("id") not in regions:
                self._captions(result, image, place)
            elif kind != "textarea":
                self._lose("dropped", place, f"a result of type {shown(result.get('type'))}")

    def _kind(self, result: Mapping[str, Any]) -> str:
        kind = str(result.get("type") or "")
        return kind.removesuffix("labels") if kind != "labels" else kind

    def _reference(self, result: Mapping[str, Any], place: int) -> str:
        own = result.get("id")
        return f"{self._subject}, {own if isinstance(own, str) and own else f'result {place}'}"

    def _lose(self, kind: str, place: int, detail: str) -> None:
        self._rows.lose(kind, f"{self._subject}, result {place}", detail)

    def _region(
        self,
        kind: str,
        result: Mapping[str, Any],
        image: int,
        size: tuple[int | None, int | None],
        place: int,
    ) -> None:
        reference = self._reference(result, place)
        labels = labels_of(result)
        try:
            region = read_region(kind, result, size)
        except BadValueError as error:
            self._rows.lose("invalid", reference, f"{kind}: {error}")
            return
        if not labels:
            self._rows.lose("invalid", reference, f"a {kind} without a label")
        if region.converted:
            self._rows.lose("converted", reference, f"{kind}: {region.converted}")
        if len(labels) > 1:
            self._rows.lose(
                "converted", reference, f"it has {len(labels)} labels: one annotation for each"
            )
        for label in labels:
            self._found.setdefault(label)
            self._rows.add(_row(region, label, image, reference))

    def _tags(self, result: Mapping[str, Any], image: int, place: int) -> None:
        choices = result["value"].get("choices")
        for choice in choices if isinstance(choices, list) else [choices]:
            if isinstance(choice, str) and choice.strip():
                extra = {"choice": result["from_name"]} if isinstance(result.get("from_name"), str) else None  # fmt: skip
                reference = self._reference(result, place)
                self._rows.add(AnnotationRow(image, choice, None, reference, origin="tags", attributes=extra))  # fmt: skip
            else:
                self._lose("invalid", place, f"no choice: {shown(choice)}")

    def _captions(self, result: Mapping[str, Any], image: int, place: int) -> None:
        text = result["value"].get("text")
        for part in text if isinstance(text, list) else [text]:
            if isinstance(part, str) and part:
                reference = self._reference(result, place)
                self._rows.add(AnnotationRow(image, None, None, reference, text=part, origin="captions"))  # fmt: skip
            else:
                self._lose("invalid", place, f"no text: {shown(part)}")


def _row(region: Region, label: str, image: int, reference: str) -> AnnotationRow:
    return AnnotationRow(
        image,
        label,
        region.box,
        reference,
        segmentation=region.mask,
        score=region.score,
        text=region.text,
        keypoints=region.keypoints,
        attributes=region.extra,
    )
