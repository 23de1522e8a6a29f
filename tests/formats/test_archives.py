"""Archives of labels: what is ordinary is read, what is hostile is refused before anything is written."""

from __future__ import annotations

import gzip
import io
import json
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster.errors import LabelError
from aion_dagster.formats.archives import ArchiveLimits, unpack
from aion_dagster.formats.labels import read_labels

COCO = json.dumps(
    {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 20, "height": 10}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}],
    }
).encode()
YOLO = {
    "data/data.yaml": b"names: [cat]\nval: images/val\n",
    "data/images/val/a.jpg": b"not looked at",
    "data/labels/val/a.txt": b"0 .5 .5 .2 .2\n",
    "data/labels/val/b.txt": b"",
    "__MACOSX/data/._data.yaml": b"\0",
}
Files = dict[str, bytes]


def zipped(path: Path, files: Files) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.filename = name  # as it stands, not as this system would have it
            archive.writestr(info, data, zipfile.ZIP_DEFLATED)
    return path


def tarred(path: Path, files: Files, *more: tarfile.TarInfo, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in more:
            archive.addfile(info)
    return path


def gzipped(path: Path, files: Files) -> Path:
    return tarred(path, files, mode="w:gz")


KINDS: list[tuple[str, Callable[[Path, Files], Path]]] = [
    ("x.zip", zipped),
    ("x.tar", tarred),
    ("x.tar.gz", gzipped),
    ("x.tgz", gzipped),
]
each_kind = pytest.mark.parametrize(("name", "pack"), KINDS)


def refused(path: Path, match: str, **limits: float) -> None:
    folder = path.parent / "out"
    folder.mkdir()
    with pytest.raises(LabelError, match=match) as error:
        unpack(path, folder, ArchiveLimits(**limits))
    assert path.name in str(error.value)
    assert not list(folder.rglob("*"))


@each_kind
def test_labels_in_an_archive_are_read(tmp_path, name, pack):
    labels = read_labels(pack(tmp_path / name, {"annotations/instances_val.json": COCO}))
    assert labels.annotations["category"].to_pylist() == ["cat"]
    assert labels.images["label_file"].to_pylist() == ["annotations/instances_val.json"]


@each_kind
def test_rule_27_a_tree_in_an_archive_has_its_pictures_names_and_negatives(tmp_path, name, pack):
    labels = read_labels(pack(tmp_path / name, YOLO))
    assert labels.images["file_name"].to_pylist() == ["a.jpg", "b"]
    assert labels.annotations.num_rows == 1
    assert labels.losses == ()


@each_kind
@pytest.mark.parametrize(
    "evil",
    [
        *("../a.json", "x/../../a.json", "/etc/a.json", "C:/a.json", "c:\\a.json", "\\\\host\\a.json"),
        *("..\\a.json", "x/..", "a\nb.json", "\x1b[2J.json", "a/b\\c.json", "d/" * 40 + "a.json"),
        "n" * 2000,
    ],
)  # fmt: skip
def test_names_that_reach_outside_are_refused(tmp_path, name, pack, evil):
    refused(pack(tmp_path / name, {"ok.json": COCO, evil: COCO}), "not unpacked")


def test_a_name_with_a_null_byte_is_refused(tmp_path):
    path = zipped(tmp_path / "x.zip", {"okXjson": COCO})
    path.write_bytes(path.read_bytes().replace(b"okXjson", b"ok\0json"))
    refused(path, "no relative path")


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    info = tarfile.TarInfo("a.json")
    info.type, info.linkname = kind, "/etc/passwd"
    refused(tarred(tmp_path / "x.tar", {"ok.json": COCO}, info), "a link, a device")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_a_zip_are_refused(tmp_path, kind):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        info = zipfile.ZipInfo("a.json")
        info.create_system, info.external_attr = 3, (kind | 0o644) << 16
        archive.writestr(info, "/etc/passwd")
    refused(tmp_path / "x.zip", "a link, a device")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("first", "second"),
    [
        *(("a.json", "a.json"), ("a.json", "A.JSON"), ("é.json", "e\u0301.json")),
        *(("a", "a/b.json"), ("A/b.json", "a"), ("a.json", "./a.json"), ("x/y", "x/Y/z")),
    ],
)
def test_names_that_are_one_file_on_some_system_are_refused(tmp_path, first, second):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(first, COCO)
        archive.writestr(second, COCO)
    refused(tmp_path / "x.zip", "one file on many systems|a file and a folder")


@each_kind
@pytest.mark.parametrize("kind", ["a.json", "a.jpg"])
def test_bombs_are_refused_by_their_ratio(tmp_path, name, pack, kind):
    bomb = pack(tmp_path / name, {kind: b"0" * 3_000_000})
    if name != "x.tar":
        refused(bomb, "times its size", free_bytes=1_000_000)


@each_kind
@pytest.mark.parametrize(
    ("limits", "match"),
    [
        ({"files": 2}, "more than 2 files"),
        ({"total_bytes": 2500}, "more than 0 MiB"),
        ({"file_bytes": 999}, "larger than"),
    ],
)
def test_too_much_is_refused(tmp_path, name, pack, limits, match):
    files = {f"{i}.json": bytes(1000) for i in range(3)}
    refused(pack(tmp_path / name, files), match, **limits)


def test_a_zip_that_lies_about_a_size_is_refused(tmp_path):
    path = zipped(tmp_path / "x.zip", {"a.json": b"0" * 1_000_000})
    data = path.read_bytes().replace((1_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(data)
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(LabelError, match=r"x\.zip"):
        unpack(path, folder)
    assert sum(p.stat().st_size for p in folder.rglob("*")) <= 10


def test_a_tar_whose_header_wants_all_memory_is_refused(tmp_path):
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 1 << 30
    with gzip.open(tmp_path / "x.tar.gz", "wb") as file:
        file.write(info.tobuf(tarfile.USTAR_FORMAT) + bytes(1 << 20))
    refused(tmp_path / "x.tar.gz", "not a whole archive")


def test_an_encrypted_zip_is_refused(tmp_path):
    path = zipped(tmp_path / "x.zip", {"a.json": COCO})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    refused(path, "encrypted")


def test_an_archive_within_an_archive_stays_closed_and_is_a_loss(tmp_path):
    inner = zipped(tmp_path / "inner.zip", {"a.json": COCO}).read_bytes()
    labels = read_labels(zipped(tmp_path / "x.zip", {"a.json": COCO, "more/inner.zip": inner}))
    assert labels.images.num_rows == 1
    assert [(x.kind, x.subject) for x in labels.losses] == [("dropped", "x.zip/more/inner.zip")]


def test_errors_name_the_archive_and_not_the_folder_it_was_unpacked_to(tmp_path):
    with pytest.raises(LabelError) as error:
        read_labels(zipped(tmp_path / "x.zip", {"a.json": b"{"}))
    assert str(error.value).startswith(f"{tmp_path}/x.zip/a.json: ")
    bomb = b'<!DOCTYPE a [<!ENTITY x "xx">]><annotation><filename>&x;</filename></annotation>'
    with pytest.raises(LabelError, match="declares entities"):
        read_labels(zipped(tmp_path / "y.zip", {"a.xml": bomb}))


@each_kind
def test_an_archive_that_is_cut_off_is_refused(tmp_path, name, pack):
    path = pack(tmp_path / name, {f"{i}.json": COCO * 50 for i in range(20)})
    data = path.read_bytes()
    for share in (0.0, 0.3, 0.7):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(LabelError, match=name):
            read_labels(path)


@given(st.data())
def test_a_damaged_archive_is_refused_or_read_and_writes_nowhere_else(tmp_path_factory, data):
    root = tmp_path_factory.mktemp("damaged")
    name, pack = data.draw(st.sampled_from(KINDS))
    path = pack(root / name, {"a/b.json": COCO, "c.json": COCO})
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    (root / "out").mkdir()
    try:
        unpack(path, root / "out", ArchiveLimits(free_bytes=1 << 16))
    except LabelError as error:
        assert name in str(error)  # noqa: PT017 - it may or may not be raised
    assert {p.name for p in root.iterdir()} == {name, "out"}
