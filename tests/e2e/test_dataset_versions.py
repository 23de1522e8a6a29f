"""Versions of datasets through the command line: listed, compared, exported again, and traced to their source."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_library import Run, coco, draw_picture, tree

from aion_dagster.cli import main


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """`aion-dagster ARGUMENTS --store … --json`: its JSON, or what it complains about."""

    def call(*arguments: object, status: int = 0) -> Any:
        code = main([*map(str, arguments), "--store", str(tmp_path / "store"), "--json"])
        out, err = capsys.readouterr()
        assert code == status, f"exit {code}, not {status}\n{out}\n{err}"
        return json.loads(out) if status == 0 else err

    return call


@pytest.fixture
def said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """The same for people."""

    def call(*arguments: object) -> str:
        assert main([*map(str, arguments), "--store", str(tmp_path / "store")]) == 0
        return capsys.readouterr().out

    return call


def configured(place: Path, **settings: Any) -> Path:
    dataset = {k: v for k, v in settings.items() if k != "keep_originals"}
    text = {"datasets": [{"exports": ["coco"], **dataset}]}
    text |= {k: v for k, v in settings.items() if k == "keep_originals"}
    place.write_text(yaml.safe_dump(text))
    return place


@pytest.fixture
def two_versions(pictures: Path, labels: Path, tmp_path: Path, run: Run) -> list[Path]:
    """A library whose dataset has two versions: pictures were added, one box changed its class, one was deleted."""
    config = configured(tmp_path / "aion.yaml")
    run(pictures, "--labels", labels, "--config", config)
    (tmp_path / "before").mkdir()
    told = json.loads(labels.read_text())
    told["annotations"][1]["category_id"] = 3 - told["annotations"][1]["category_id"]
    labels.write_text(json.dumps(told))
    draw_picture(pictures / "c" / "new.jpg", 99)
    run(pictures, "--labels", labels, "--config", config)
    return [config, pictures, labels]


def test_versions_are_listed_compared_traced_and_exported_again(
    two_versions: list[Path], command: Any, said: Any, tmp_path: Path
) -> None:
    first, second = command("dataset", "list")
    assert [first["is_current"], second["is_current"]] == [False, True]
    assert second["after"] == first["version"]
    assert (first["pictures"], second["pictures"]) == (12, 13)
    found = command("dataset", "diff", "main")
    assert (found["before"], found["after"]) == (first["version"], second["version"])
    assert found["names"]["added"] == ["c/new.jpg"]
    assert found["moved"] == []
    assert [r["count"] for r in found["reclassified"]] == [1]
    assert command("dataset", "diff", "main", second["version"][:6], first["version"])["names"]["removed"] == ["c/new.jpg"]  # fmt: skip
    assert "reclassified 1" in said("dataset", "diff", "main")
    shown = command("dataset", "show", "main", "--version", first["version"][:8])
    assert shown["version"] == first["version"]
    assert sum(shown["splits"].values()) == 12
    assert "left out nothing" in said("dataset", "show", "main")
    assert said("dataset", "list").count("main") == 2
    assert "no version begins" in command("dataset", "show", "main", "--version", "zz", status=2)
    assert "there is no dataset" in command("dataset", "diff", "other", status=2)
    _trace(command, said, tmp_path / "store", two_versions[1])
    _export_again(command, tmp_path, two_versions[0])
    _refuse_what_is_gone(command, tmp_path, *two_versions[:2])


def _trace(command: Any, said: Any, store: Path, pictures: Path) -> None:
    """From an annotation in an export back to its label file, its picture, the bytes and the runs."""
    export = store / "exports" / "main" / "coco"
    instances = next((export / "annotations").glob("instances_train.json"))
    row = json.loads(instances.read_text())["annotations"][0]
    found = command("trace", instances, "--annotation", row["id"])
    assert found["annotation"]["origin"] == "labels"
    assert found["annotation"]["origin_ref"].startswith("labels.json")
    assert list(found["annotation"]["bbox"].values()) == row["bbox"]
    place = found["places"][0]
    assert place["uri"] == (pictures / place["name"]).as_uri()
    assert {s["table"] for s in found["steps"]} >= {"images", "descriptions", "annotations"}
    assert all(s["run_id"] and s["fingerprint"] for s in found["steps"])
    assert found["credits"] == 0.0
    assert [d["is_current"] for d in found["datasets"]] == [False, True]
    assert found["datasets"][1]["exports"]["coco"] == str(export)
    same = {
        command("trace", asked)["image_id"]
        for asked in (
            found["image_id"],
            found["sha256"],
            found["annotation"]["annotation_id"],
            place["name"],
            place["uri"],
            pictures / place["name"],
            export / "images" / "train" / place["name"],
        )
    }
    assert same == {found["image_id"]}
    text = said("trace", found["annotation"]["annotation_id"])
    assert place["uri"] in text
    assert "origin   labels: labels.json" in text
    assert "is no annotation, picture" in command("trace", "nothing", status=2)


def _export_again(command: Any, tmp_path: Path, config: Path) -> None:
    """An older version, byte for byte, wherever it is written to."""
    version = command("dataset", "list")[0]["version"]
    once = command("dataset", "export", "main", "--version", version, "--config", config)
    again = ["dataset", "export", "main", "--version", version, "--config", config]
    command(*again, "--to", tmp_path / "out", "--format", "coco")
    place = Path(once["exports"]["coco"]["place"])
    assert tree(place) == tree(tmp_path / "out" / "coco")
    assert "c/new.jpg" not in "".join(tree(place))
    assert once["exports"]["coco"]["pictures"] == 12
    listed = (place / "losses.csv").read_text().splitlines()
    assert once["exports"]["coco"]["losses"] == len(listed) - 1
    _never_replace_what_is_no_export(command, tmp_path, again)
    _copies_elsewhere(place, tmp_path / "out" / "coco")


def _never_replace_what_is_no_export(command: Any, tmp_path: Path, again: list[Any]) -> None:
    """A folder of the user's is left alone, and nothing else is written."""
    mine = tmp_path / "mine" / "yolo"
    mine.mkdir(parents=True)
    (mine / "notes.txt").write_text("precious")
    complaint = command(*again, "--to", tmp_path / "mine", "--format", "coco,yolo", status=1)
    assert "it is no export" in complaint
    assert tree(tmp_path / "mine") == {"yolo/notes.txt": b"precious"}
    assert "no folder" in command(*again, "--to", "s3://bucket/x", status=2)
    complaint = command(*again, "--to", mine / "notes.txt", status=1)
    assert "notes.txt" in complaint


def _copies_elsewhere(place: Path, copied: Path) -> None:
    """In the store, pictures are links; what `--to` writes shares nothing with anything."""
    linked = {p.stat().st_nlink for p in (place / "images").rglob("*.jpg")}
    assert max(linked) > 1
    assert {p.stat().st_nlink for p in copied.rglob("*") if p.is_file()} == {1}


def _refuse_what_is_gone(command: Any, tmp_path: Path, config: Path, pictures: Path) -> None:
    """A version whose bytes are gone fails before anything is written."""
    version = command("dataset", "list")[0]["version"]
    next(pictures.rglob("picture 03.jpg")).unlink()
    complaint = command(
        "dataset", "export", "main", "--version", version, "--config", config, "--to", tmp_path / "gone",
        status=1,
    )  # fmt: skip
    assert "a/picture 03.jpg" in complaint
    assert list((tmp_path / "gone").iterdir()) == []


def test_kept_originals_outlive_their_files(
    pictures: Path, labels: Path, tmp_path: Path, run: Run, command: Any
) -> None:
    config = configured(tmp_path / "aion.yaml", keep_originals="referenced")
    run(pictures, "--labels", labels, "--config", config)
    version = command("dataset", "list")[0]["version"]
    wanted = tree(tmp_path / "store" / "exports" / "main" / "coco" / "images")
    for path in [*pictures.rglob("*.jpg")]:
        path.unlink()
    draw_picture(pictures / "other.jpg", 7)
    run(pictures, "--labels", labels, "--config", config)
    again = ["dataset", "export", "main", "--version", version, "--config", config]
    command(*again, "--to", tmp_path / "out")
    assert tree(tmp_path / "out" / "coco" / "images") == wanted


def test_a_dataset_whose_splits_leak_is_not_exported(
    pictures: Path, tmp_path: Path, run: Run
) -> None:
    """Labels put two near-duplicates into different splits: the check fails, and so does the run."""
    twin = pictures / "a" / "twin.jpg"
    draw_picture(twin, 1, (300, 225))
    names = {"train": "a/picture 01.jpg", "val": "a/twin.jpg"}
    folder = tmp_path / "labels"
    folder.mkdir()
    for split, name in names.items():
        size = (320, 240) if split == "train" else (300, 225)
        told = coco([(name, *size)], [(0, "cat", [10.0, 20.0, 50.0, 40.0])])
        (folder / f"instances_{split}.json").write_text(json.dumps(told))
    config = configured(tmp_path / "aion.yaml", splits_from=["labels"])
    result = run(pictures, "--labels", folder, "--config", config, status=1)
    assert "lie in more than one split" in result["problems"]
    assert not (tmp_path / "store" / "exports" / "main" / "coco").exists()
    warned = configured(tmp_path / "aion.yaml", splits_from=["labels"], leaks="warn")
    run(pictures, "--labels", folder, "--config", warned)
    assert (tmp_path / "store" / "exports" / "main" / "coco").is_dir()


def test_what_was_selected_and_what_was_left_out_stands_in_the_version(
    pictures: Path, labels: Path, tmp_path: Path, run: Run, command: Any
) -> None:
    keys = tmp_path / "groups.csv"
    rows = [f"{p.name},{'one' if i < 4 else 'two'}" for i, p in enumerate(sorted(pictures.rglob("*.jpg")))]  # fmt: skip
    keys.write_text("\n".join(["image,group", *rows, "nobody.jpg,three"]))
    config = configured(
        tmp_path / "aion.yaml",
        select={"names": ["a/*", "b/picture 00.jpg"], "search": {"color": "#808080", "top": 5}},
        quality={"min_height": 240, "min_sharpness": 0},
        group_by=[{"file": str(keys)}],
    )
    run(pictures, "--labels", labels, "--config", config)
    shown = command("dataset", "show", "main")
    assert shown["pictures"] <= 5
    assert shown["left_out"]["not_selected"] == 12 - shown["pictures"]
    assert shown["settings"]["select"]["search"] == {
        "color": {"hex": "#808080"},
        "top": 5,
    }
    assert shown["losses"]["unmatched"] >= 1
    again = run(pictures, "--labels", labels, "--config", config)
    assert again["seconds"] >= 0
    assert len(command("dataset", "list")) == 1


def test_a_run_tells_of_every_dataset_and_content_that_returns_has_a_version_before(
    pictures: Path, labels: Path, tmp_path: Path, run: Run, command: Any
) -> None:
    options = {"captions": "descriptions", "destination": str(tmp_path / "copies")}
    main_one = {"name": "main", "exports": ["coco"], "export_options": options}
    one = {
        "name": "one", "exports": ["csv"], "select": {"names": ["b/picture 00.jpg"]},
        "export_options": {"archive": "zip"},
    }  # fmt: skip
    config = tmp_path / "aion.yaml"
    config.write_text(yaml.safe_dump({"datasets": [main_one, one]}))
    told = run(pictures, "--labels", labels, "--config", config)
    _told_of_both(told)
    _not_changed_with_the_original(pictures, tmp_path)
    first = command("dataset", "list", "main")[0]["version"]

    config.write_text(yaml.safe_dump({"datasets": [main_one | {"quality": {"min_width": 9}}, one]}))
    run(pictures, "--labels", labels, "--config", config)
    second = next(v["version"] for v in command("dataset", "list", "main") if v["is_current"])
    again = ["dataset", "export", "--version", first[:8], "--config", config]
    exported = command(*again, "main", "--to", tmp_path / "out")["exports"]["coco"]
    assert (tmp_path / "out/coco/annotations/captions_train.json").is_file()
    assert tree(tmp_path / "out/coco/annotations") == tree(tmp_path / "copies-kept/annotations")
    assert exported["losses"] == len((tmp_path / "out/coco/losses.csv").read_text().splitlines()) - 1  # fmt: skip
    again[3] = command("dataset", "list", "one")[0]["version"]
    command(*again, "one", "--to", tmp_path / "out")
    packed = tmp_path / "out/csv/one-csv.zip"
    assert packed.read_bytes() == Path(told["datasets"]["one"]["exports"]["csv"], packed.name).read_bytes()  # fmt: skip

    config.write_text(yaml.safe_dump({"datasets": [main_one, one]}))
    run(pictures, "--labels", labels, "--config", config)
    found = command("dataset", "diff", "main")
    assert (found["before"], found["after"]) == (second, first)


def _told_of_both(told: dict[str, Any]) -> None:
    assert set(told["datasets"]) == {"main", "one"}
    assert told["datasets"]["main"] == {k: told[k] for k in ("exports", "report", "losses")}
    other = told["datasets"]["one"]
    assert Path(other["exports"]["csv"], "export.json").is_file()
    assert other["losses"]["split"] == 1
    output = told["output"]
    assert "also     one: 1 picture, losses: " in output
    assert "split 1" in output
    assert f"csv      {other['exports']['csv']}" in output
    assert "splits   1 group: nothing to split, all pictures train, and val repeats train" in output


def _not_changed_with_the_original(pictures: Path, tmp_path: Path) -> None:
    """The store's export is linked to the originals, that at the destination is not."""
    copied, linked = tmp_path / "copies/main/coco", tmp_path / "store/exports/main/coco"
    before = tree(copied)
    assert before == tree(linked)
    original = pictures / "a/picture 01.jpg"
    kept, facts = original.read_bytes(), original.stat()
    original.write_bytes(b"something else")
    assert tree(linked) != before
    assert tree(copied) == before
    original.write_bytes(kept)
    os.utime(original, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    copied.rename(tmp_path / "copies-kept")
