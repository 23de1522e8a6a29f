"""`aion-dagster trace` of files in sources: by path, URI and name; copies, changed files, and what is no picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small_library import draw_picture

from aion_dagster.cli import main


@pytest.fixture
def trace(lived_in: Path, capsys: Any) -> Any:
    """What it prints as JSON, or as text where it fails."""

    def call(asked: object, status: int = 0) -> Any:
        capsys.readouterr()
        assert main(["trace", str(asked), "--store", str(lived_in), "--json"]) == status
        out, err = capsys.readouterr()
        return err if status else json.loads(out)

    return call


def test_a_file_is_found_by_path_uri_and_name_and_a_copy_leads_to_its_picture(
    trace: Any, lived_in: Path
) -> None:
    pictures = lived_in.parent / "pictures"
    found = trace(pictures / "2.jpg")
    assert {p["name"] for p in found["places"]} == {"2.jpg", "copy of 2.jpg"}
    for asked in ((pictures / "2.jpg").as_uri(), "copy of 2.jpg", pictures / "copy of 2.jpg"):
        assert trace(asked)["image_id"] == found["image_id"]


def test_a_file_that_changed_is_its_current_version_and_one_that_is_gone_its_last(
    trace: Any, lived_in: Path
) -> None:
    assert trace(lived_in.parent / "pictures" / "1.jpg")["state"] == "in use"
    assert trace(lived_in.parent / "pictures" / "3.jpg")["state"] == "deleted"


def test_of_a_file_that_is_no_picture_it_says_what_became_of_it(
    trace: Any, lived_in: Path, capsys: Any
) -> None:
    found = trace(lived_in.parent / "pictures" / "broken.jpg")
    assert (found["name"], found["status"]) == ("broken.jpg", "unreadable")
    assert found["error"]
    assert trace("notes.txt")["status"] == "completed"
    assert main(["trace", "broken.jpg", "--store", str(lived_in)]) == 0
    assert "file       broken.jpg  unreadable: " in capsys.readouterr().out
    assert "path, URI or name in a source" in trace("nobody.jpg", status=2)


def test_a_name_of_several_files_lists_where_they_are(tmp_path: Path, capsys: Any) -> None:
    pictures, place = tmp_path / "pictures", ["--store", str(tmp_path / "store")]
    for number, folder in enumerate("ab"):
        draw_picture(pictures / folder / "same.jpg", number)
    assert main(["run", str(pictures), *place, "--export", "none"]) == 0
    assert main(["trace", "same.jpg", *place]) == 2
    said = capsys.readouterr().err
    for folder in "ab":
        assert (pictures / folder / "same.jpg").as_uri() in said
    assert main(["trace", "b/same.jpg", *place]) == 0
    assert "picture    b/same.jpg" in capsys.readouterr().out
