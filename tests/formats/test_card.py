"""The dataset card: one page that shows everything, loads nothing, and trusts nothing."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from aion_dagster import schemas
from aion_dagster.errors import ExportError
from aion_dagster.formats.card import write_card
from aion_dagster.values import Category, Dataset, Loss

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


class Page(HTMLParser):
    """Every tag with its attributes, and all text, as a browser would read them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def jpeg(width: int = 64, height: int = 32) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (90, 140, 60)).save(buffer, "JPEG")
    return buffer.getvalue()


def thumbnails(ids: Sequence[str]) -> Mapping[str, bytes]:
    return {i: jpeg() for i in ids}


def dataset(
    pictures: Sequence[tuple[str, str, bool]] = (("a.jpg", "train", True), ("b.jpg", "val", False)),
    boxes: Sequence[tuple[int, str, tuple[float, float, float, float]]] = (
        (0, "cat", (10.0, 20.0, 30.0, 40.0)),
    ),
    *,
    categories: Sequence[str] = ("cat", "dog"),
    losses: Sequence[Loss] = (),
    text: str | None = None,
    name: str = "main",
) -> Dataset:
    """Pictures of 400 x 200 pixels as (file name, split, labelled), boxes as (picture, class, x y w h)."""
    images = []
    for i, (file_name, split, labelled) in enumerate(pictures):
        row = dict.fromkeys(schemas.DATASET_IMAGES.names)
        row |= {"image_id": f"id{i:03}", "sha256": "0" * 64, "file_name": file_name, "width": 400}
        images.append(row | {"height": 200, "split": split, "labelled": labelled})
    annotations = []
    for n, (i, category, box) in enumerate(boxes):
        row = dict.fromkeys(schemas.ANNOTATIONS.names)
        row |= {"annotation_id": f"an{n:03}", "image_id": f"id{i:03}", "category": category}
        annotations.append(row | {"bbox": dict(zip("xywh", box, strict=True)), "text": text})
    return Dataset(
        name,
        "0123456789abcdef",
        pa.Table.from_pylist(images, schema=schemas.DATASET_IMAGES),
        pa.Table.from_pylist(annotations, schema=schemas.ANNOTATIONS),
        tuple(Category(c, "object") for c in categories),
        tuple(losses),
        {"seed": 0, "name": name},
    )


def page(folder: Path, *args: Any, **options: Any) -> tuple[str, Page]:
    html = write_card(*(args or (dataset(),)), folder, thumbnails, **options).read_text("utf-8")
    return html, Page(html)


def test_the_page_loads_nothing_and_runs_nothing(tmp_path: Path) -> None:
    html, parsed = page(tmp_path)
    for tag, attributes in parsed.tags:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base", "form"}
        for key, value in attributes.items():
            assert not key.startswith("on")
            if key in {"src", "href", "srcset", "action", "data", "poster"}:
                assert (value or "").startswith("data:image/jpeg;base64,")
    assert not re.search(r"(https?:)?//[a-z]", re.sub(r"base64,[^\"]*", "", html))
    assert "url(" not in html
    assert "@import" not in html
    policy = next(m for m in parsed.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"] == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@pytest.mark.parametrize(
    "where", ["file", "class", "text", "loss", "provenance", "export", "name", "split"]
)
def test_hostile_text_stays_text(tmp_path: Path, where: str) -> None:
    shown: dict[str, Any] = {}
    if where == "file":
        made = dataset([(HOSTILE, "train", True)])
    elif where == "class":
        made = dataset(boxes=[(0, HOSTILE, (1, 1, 5, 5))], categories=(HOSTILE,))
    elif where == "split":
        made = dataset([("a.jpg", HOSTILE, True)])
    else:
        losses = [Loss("dropped", HOSTILE, HOSTILE)] if where == "loss" else []
        made = dataset(
            text=HOSTILE if where == "text" else None,
            losses=losses,
            name=HOSTILE if where == "name" else "main",
        )
        shown = {"provenance": {HOSTILE: HOSTILE}} if where == "provenance" else {}
        shown = {"exports": {HOSTILE: {HOSTILE: HOSTILE}}} if where == "export" else shown
    html, parsed = page(tmp_path, made, **shown)
    assert "<script" not in html
    assert not parsed.all("script")
    assert all("onerror" not in attributes for _, attributes in parsed.tags)
    assert HOSTILE in parsed.text or any(
        HOSTILE in str(v) for _, a in parsed.tags for v in a.values()
    )


def test_signs_that_forge_a_name_are_made_visible(tmp_path: Path) -> None:
    html, _ = page(
        tmp_path, dataset([("photo\u202egpj.exe", "train", True), ("nul\x00l.jpg", "val", True)])
    )
    assert "\u202e" not in html
    assert "\x00" not in html
    assert "photo\ufffdgpj.exe" in html


def test_unicode_names_survive(tmp_path: Path) -> None:
    html, _ = page(tmp_path, dataset([("Straße/猫 👩‍🚀.jpg", "train", True)]))
    assert "Straße/猫 👩‍🚀.jpg" in html


def test_the_same_dataset_gives_the_same_bytes(tmp_path: Path) -> None:
    facts = {"b": "2", "a": "1"}
    one = write_card(dataset(), tmp_path / "one", thumbnails, provenance=facts)
    two = write_card(
        dataset(), tmp_path / "two", thumbnails, provenance=dict(sorted(facts.items()))
    )
    assert one.read_bytes() == two.read_bytes()
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b", one.read_text("utf-8"))


def test_boxes_lie_on_the_thumbnail_in_pixels_of_the_picture(tmp_path: Path) -> None:
    _, parsed = page(tmp_path)
    views = [a["viewbox"] for a in parsed.all("svg") if a.get("viewbox") == "0 0 400 200"]
    assert len(views) == 1
    frame = next(a for a in parsed.all("rect") if a.get("class") == "line")
    assert [frame[k] for k in ("x", "y", "width", "height")] == ["10", "20", "30", "40"]
    picture = parsed.all("img")[0]
    assert base64.b64decode((picture["src"] or "").partition(",")[2]) == jpeg()
    assert picture["alt"] == "a.jpg"


def test_each_class_has_a_color_of_its_own(tmp_path: Path) -> None:
    names = [f"class {i}" for i in range(30)]
    boxes = [(0, n, (float(i), 1.0, 5.0, 5.0)) for i, n in enumerate(names)]
    _, parsed = page(tmp_path, dataset(boxes=boxes, categories=names))
    strokes = [a["style"] for a in parsed.all("rect") if a.get("class") == "line"]
    assert len(strokes) == len(set(strokes)) == 30


def test_labelled_pictures_come_first_and_every_split_is_shown(tmp_path: Path) -> None:
    pictures = [
        (f"{i:03}.jpg", "train" if i < 80 else "val" if i < 90 else "test", i % 2 == 1)
        for i in range(100)
    ]
    boxes = [(i, "cat", (1.0, 1.0, 9.0, 9.0)) for i in range(1, 100, 4)]
    asked: list[str] = []

    def remember(ids: Sequence[str]) -> Mapping[str, bytes]:
        asked.extend(ids)
        return thumbnails(ids)

    write_card(dataset(pictures, boxes), tmp_path, remember, max_pictures=40)
    numbers = [int(i[2:]) for i in asked]
    assert len(numbers) == 40
    assert sorted(numbers[:25]) == list(range(1, 100, 4))
    assert all(n % 2 == 1 for n in numbers[25:])
    assert {pictures[n][1] for n in numbers[:4]} == {"train", "val", "test"}


def test_rule_27_negatives_and_unlabelled_pictures_are_told_apart(tmp_path: Path) -> None:
    made = dataset([("a.jpg", "train", True), ("b.jpg", "train", True), ("c.jpg", "val", False)])
    _, parsed = page(tmp_path, made)
    assert (
        parsed.text.count("unlabelled") == 2
    )  # the picture's caption and the heading of the column
    assert "no objects" in parsed.text


def test_a_class_without_a_box_is_listed(tmp_path: Path) -> None:
    _, parsed = page(tmp_path)
    assert re.search(r"dog\s+none\s*0", parsed.text)


def test_losses_are_grouped_and_long_lists_cut(tmp_path: Path) -> None:
    losses = [Loss("clipped", f"p{i:03}.jpg", "cut") for i in range(100)] + [
        Loss("dropped", "z.jpg", "no area")
    ]
    _, parsed = page(tmp_path, dataset(losses=losses))
    assert "p024.jpg" in parsed.text
    assert "p025.jpg" not in parsed.text
    assert "and 75 more" in parsed.text
    assert "no area" in parsed.text


def test_provenance_exports_and_settings_are_listed(tmp_path: Path) -> None:
    _, parsed = page(
        tmp_path,
        dataset(),
        provenance={"labels": "COCO, by hand"},
        exports={"yolo": {"images": 2, "losses": 0}},
    )
    assert "COCO, by hand" in parsed.text
    assert re.search(r"yolo\s*2 images, 0 losses", parsed.text)
    assert "seed" in parsed.text


def test_a_dataset_of_nothing_and_pictures_without_thumbnails_have_a_card(tmp_path: Path) -> None:
    _, parsed = page(tmp_path, dataset([], [], categories=()))
    assert "no pictures" in parsed.text
    html = write_card(dataset(), tmp_path, lambda _ids: {}).read_text("utf-8")
    assert "<img" not in html
    assert 'class="line"' in html


def test_a_new_card_takes_the_place_of_the_old_one_and_leaves_nothing_beside_it(
    tmp_path: Path,
) -> None:
    page(tmp_path)
    html, _ = page(tmp_path, dataset(name="second"))
    assert "second" in html
    assert [p.name for p in tmp_path.iterdir()] == ["index.html"]


def test_a_card_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(ExportError, match="taken"):
        write_card(dataset(), tmp_path / "taken", thumbnails)
