"""Colors that the platform measures, in place of those that are measured here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from aionvision_server.fixtures import Server
from aionvision_server.operations.palettes import analysis
from remote_runs import asked, configured, ready, rows
from small_library import Run

from aion_dagster import schemas
from aion_dagster.cli import main

GET = "GET /colors/images/{image_id}"
EXTRACT = "POST /colors/batch/extract"


@pytest.fixture(autouse=True)
def key(aionvision: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    return ready(aionvision, monkeypatch)


@pytest.fixture
def config(tmp_path: Path, aionvision: Server) -> Path:
    return written(tmp_path, aionvision)


def written(tmp_path: Path, server: Server, **more: Any) -> Path:
    return configured(tmp_path / "aion.yaml", server, **{"colors": True, **more})


def test_rows_are_the_platforms_in_the_columns_of_local_ones(
    run: Run, pictures: Path, config: Path, tmp_path: Path, aionvision: Server
) -> None:
    result = run(pictures, "--config", config)
    assert (result["errors"], result["paid_calls"]) == ([], 12)
    found = {r["image_id"]: r for r in rows(tmp_path / "store", "color_analyses")}
    uploads = rows(tmp_path / "store", "uploads")
    assert found.keys() == {u["image_id"] for u in uploads}
    one = uploads[0]
    there, here = analysis(one["sha256"]), found[one["image_id"]]
    assert here.keys() == set(schemas.COLOR_ANALYSES.names)
    assert [c["hex"] for c in here["dominant_colors"]] == [
        c["hex"] for c in there["dominant_colors"]
    ]
    first, told = here["dominant_colors"][0], there["dominant_colors"][0]
    assert (first["r"], first["g"], first["b"]) == tuple(told["rgb"].values())
    assert (first["h"], first["s"], first["l"]) == pytest.approx(tuple(told["hsl"].values()))
    lab = (first["lab_l"], first["lab_a"], first["lab_b"])
    assert lab == pytest.approx(tuple(told["lab"].values()), rel=1e-5)
    assert here["temperature"] == there["analytics"]["temperature"]["value"]
    assert here["brightness"] == pytest.approx(there["analytics"]["brightness"]["average"])
    assert aionvision.log(EXTRACT) == []
    aionvision.assert_clean()


def test_the_picture_is_found_by_the_platforms_color(
    run: Run,
    pictures: Path,
    config: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(pictures, "--config", config)
    one = rows(tmp_path / "store", "color_analyses")[0]
    code = one["dominant_colors"][0]["hex"]
    main(["search", "--color", code, "--store", str(tmp_path / "store"), "--json"])
    hits = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert one["image_id"] in {h["image_id"] for h in hits}


def test_nothing_is_asked_again_for_the_same_pictures(
    run: Run, pictures: Path, config: Path, tmp_path: Path, aionvision: Server
) -> None:
    run(pictures, "--config", config)
    before = asked(aionvision)
    assert "no work was done" in run(pictures, "--config", config)["output"]
    assert asked(aionvision) == before
    shutil.copy(next(pictures.rglob("*.jpg")), pictures / "copy.jpg")
    looked = len(aionvision.log(GET))
    assert run(pictures, "--config", config)["paid_calls"] == 0
    assert len(aionvision.log(GET)) == looked
    assert len(rows(tmp_path / "store", "color_analyses")) == 13


def test_fewer_colors_are_the_largest_ones(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server
) -> None:
    run(pictures, "--config", written(tmp_path, aionvision, library={"colors": 3}))
    found = rows(tmp_path / "store", "color_analyses")
    assert {len(r["dominant_colors"]) for r in found} == {3}
    assert all([c["rank"] for c in r["dominant_colors"]] == [1, 2, 3] for r in found)


def test_an_extraction_that_failed_is_asked_for_once_more_and_one_that_fails_again_is_left(
    run: Run, pictures: Path, config: Path, tmp_path: Path, aionvision: Server
) -> None:
    aionvision.fault("failing", GET, times=2)
    first = run(pictures, "--config", config)
    assert (first["errors"], first["paid_calls"]) == ([], 14)
    assert len(rows(tmp_path / "store", "color_analyses")) == 12
    assert aionvision.counters()["billed"]["color_extractions"] == 2
    aionvision.fault("failing", GET, times=1)
    aionvision.fault("failing", EXTRACT, times=1)
    (pictures / "more").mkdir()
    picture = next(pictures.rglob("*.jpg")).read_bytes()
    (pictures / "more" / "other.jpg").write_bytes(picture + b"\0")
    result = run(pictures, "--config", config)
    assert result["errors"] == []
    assert len(rows(tmp_path / "store", "color_analyses")) == 12
    before = asked(aionvision)
    assert "no work was done" in run(pictures, "--config", config)["output"]
    assert asked(aionvision) == before
    aionvision.assert_clean()


def test_one_that_takes_too_long_is_looked_at_again_and_asked_for_only_then(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server
) -> None:
    aionvision.fault("stuck", GET, times=1)
    run(pictures, "--config", written(tmp_path, aionvision, polling_timeout=0.3))
    assert len(rows(tmp_path / "store", "color_analyses")) == 11
    assert aionvision.log(EXTRACT) == []
    second = run(pictures, "--config", written(tmp_path, aionvision))
    assert second["paid_calls"] == 1
    assert len(rows(tmp_path / "store", "color_analyses")) == 12
    before = asked(aionvision)
    run(pictures, "--config", written(tmp_path, aionvision))
    assert asked(aionvision) == before


@pytest.mark.parametrize(
    "side", [{"color_status": "queued"}, {"color_extracted_at": "inside"}], ids=str
)
def test_colors_are_read_on_either_side_of_what_the_sources_contradict(
    run: Run,
    pictures: Path,
    config: Path,
    tmp_path: Path,
    aionvision: Server,
    side: dict[str, str],
) -> None:
    aionvision.side(**side)
    aionvision.settings(looks={"color": 2})
    run(pictures, "--config", config)
    assert len(rows(tmp_path / "store", "color_analyses")) == 12


def test_switching_to_local_colors_measures_them_here_and_back_asks_again(
    run: Run, pictures: Path, config: Path, tmp_path: Path, aionvision: Server
) -> None:
    run(pictures, "--config", config)
    remote = rows(tmp_path / "store", "color_analyses")
    local = run(pictures, "--config", written(tmp_path, aionvision, colors=False))
    assert local["paid_calls"] == 0
    here = rows(tmp_path / "store", "color_analyses")
    assert [r["image_id"] for r in here] == [r["image_id"] for r in remote]
    assert here != remote
    assert run(pictures, "--config", written(tmp_path, aionvision))["paid_calls"] == 0
    assert rows(tmp_path / "store", "color_analyses") == remote
