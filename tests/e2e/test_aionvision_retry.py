"""Trying again what failed for a time, by a job of Dagster's and by the command: nothing else is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from aionvision_server.fixtures import Server
from remote_runs import asked, configured, ready, rows
from small_library import Run, draw_picture

from aion_dagster.cli import main
from aion_dagster.config import LibraryConfig
from aion_dagster.definitions import build_definitions
from aion_dagster.resources.instance import embedded_instance
from aion_dagster.retry_definitions import RETRY_OF

CONFIRM = "POST /document-uploads/batch-confirm"
CREATE = "POST /user-files/links"
LINKS = ["https://example.com/a", "https://example.com/b"]


@pytest.fixture(autouse=True)
def key(aionvision: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    return ready(aionvision, monkeypatch)


@pytest.fixture
def half_done(run: Run, pictures: Path, tmp_path: Path, aionvision: Server) -> LibraryConfig:
    """A library in which a picture, a document and a link failed for a time, and one of each for good."""
    for name in ("notes", "report"):
        (pictures / f"{name}.txt").write_text(f"All about {name}.")
    for kind, about, more in (
        ("reject", "-picture 03.jpg$", {"message": "503: try later", "retryable": True}),
        ("reject", "-picture 04.jpg$", {"message": "422: BAD_IMAGE", "retryable": False}),
    ):
        aionvision.fault(kind, about=about, **more)
    aionvision.fault("failing", CONFIRM, about="-notes.txt$", message="503: try later")
    aionvision.fault("failing", CONFIRM, about="-report.txt$", message="invalid")
    aionvision.fault("failing", CREATE, about="/a$", message="timed out")
    aionvision.fault("failing", CREATE, about="/b$", message="404: no such page")
    library = {"documents": ["txt"], "batch_files": 5}
    config = configured(tmp_path / "aion.yaml", aionvision, links=LINKS, library=library)
    assert run(pictures, "--config", config)["errors"] == []
    aionvision.clock(advance=3700)
    store = {"store": str(tmp_path / "store")}
    return LibraryConfig.from_env({}, flags=store, file=config)


def retried(config: LibraryConfig, **choice: Any) -> tuple[dg.ExecuteInProcessResult, int]:
    """The job's result, and how many runs it started."""
    definitions = build_definitions(config, quiet=True)
    with embedded_instance(config.store) as instance:
        result = definitions.resolve_job_def("retry").execute_in_process(
            instance=instance,
            run_config={"ops": {"try_again": {"config": choice}}},
            raise_on_error=False,
        )
        filters = dg.RunsFilter(tags={RETRY_OF: result.run_id})
        runs = instance.get_runs(filters)
    assert {r.status for r in runs} <= {dg.DagsterRunStatus.SUCCESS}
    return result, len(runs)


def failures(store: Path) -> dict[str, list[bool]]:
    """Table → whether each of its failures may be tried again."""
    found = {
        "uploads": [r["is_retryable"] for r in rows(store, "uploads") if r["error"]],
        "documents": [r["is_retryable"] for r in rows(store, "documents") if r["error"]],
        "links": [r["is_retryable"] for r in rows(store, "links") if r["crawl_error"]],
    }
    return {table: sorted(states) for table, states in found.items() if states}


def each(states: list[bool]) -> dict[str, list[bool]]:
    """The same of every kind."""
    return dict.fromkeys(("uploads", "documents", "links"), states)


def test_the_job_makes_only_the_calls_that_may_be_made_again(
    half_done: LibraryConfig, tmp_path: Path, aionvision: Server
) -> None:
    store = tmp_path / "store"
    assert failures(store) == each([False, True])
    before = aionvision.counters()["requests"]
    result, runs = retried(half_done)
    assert result.success
    assert runs >= 3
    assert failures(store) == each([False])
    now = aionvision.counters()["requests"]
    sent = {
        name: now[name] - before.get(name, 0) for name in now if now[name] > before.get(name, 0)
    }
    assert sent["POST /user-files/upload/stream-batch"] == 1
    assert sent["POST /document-uploads/batch-prepare"] == 1
    assert sent["POST /user-files/{link_id}/recrawl"] == 1
    assert CREATE not in sent
    described = rows(store, "descriptions")
    assert [r["description_status"] for r in described].count("completed") == 11
    aionvision.assert_clean()


def test_the_job_has_nothing_to_do_when_nothing_may_be_tried_again(
    half_done: LibraryConfig, tmp_path: Path, aionvision: Server
) -> None:
    retried(half_done)
    draw_picture(tmp_path / "pictures" / "new.jpg", 99)
    before = asked(aionvision)
    result, runs = retried(half_done)
    assert (result.success, runs) == (True, 0)
    assert asked(aionvision) == before


def test_failures_for_good_are_tried_again_only_when_that_is_asked_for(
    half_done: LibraryConfig, tmp_path: Path
) -> None:
    result, _ = retried(half_done, failed_for_good=True)
    assert result.success
    assert failures(tmp_path / "store") == {}


def test_what_was_made_after_all_is_found(
    half_done: LibraryConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def hits(*words: str) -> list[dict[str, Any]]:
        capsys.readouterr()
        main(["search", *words, "--store", half_done.store, "--limit", "50", "--json"])
        return list(json.loads(capsys.readouterr().out.splitlines()[-1]))

    retried(half_done, failed_for_good=True)
    assert "report.txt" in {h["name"] for h in hits("report", "--documents")}
    store = tmp_path / "store"
    refused = next(r["image_id"] for r in rows(store, "images") if "04" in r["name"])
    described = {r["image_id"]: r for r in rows(store, "descriptions")}
    assert refused in {h["image_id"] for h in hits(described[refused]["title"])}


def test_the_command_does_the_same(half_done: LibraryConfig, tmp_path: Path) -> None:
    place = ["--store", str(half_done.store)]
    assert main(["retry", *place]) == 0
    assert failures(tmp_path / "store") == each([False])
    assert main(["retry", "--all", *place]) == 0
    assert failures(tmp_path / "store") == {}


def test_a_batch_that_fails_fails_the_job_and_says_which(
    half_done: LibraryConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIONVISION_API_KEY", "aion_" + "w" * 40)
    definitions = build_definitions(half_done, quiet=True)
    with embedded_instance(half_done.store) as instance:
        job = definitions.resolve_job_def("retry")
        result = job.execute_in_process(instance=instance, raise_on_error=False)
    assert not result.success
    (failure,) = [e for e in result.all_events if e.is_step_failure]
    told = failure.step_failure_data.user_failure_data
    assert told is not None
    assert "failed" in (told.description or "")
