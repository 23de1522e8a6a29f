"""The documented pipelines, as YAML and as Python, here and at the platform: the same assets, with results in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from aionvision_server.asking import asking
from aionvision_server.fixtures import Server, running
from pipeline_runs import (
    EXAMPLES,
    in_python,
    result_of,
    run_pipeline,
    statuses,
    with_pipelines,
    write_papers,
)
from remote_runs import configured
from small_library import draw_picture

from aion_dagster.cli import main
from aion_dagster.config import LibraryConfig
from aion_dagster.definitions import build_definitions
from aion_dagster.resources.instance import embedded_instance
from aion_dagster.storage.store import Store

NAMES = ("poles", "maintenance", "papers")
LIBRARY = {"documents": ["md", "txt"]}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    for i in range(6):
        draw_picture(folder / f"picture {i:02}.jpg", i)
    write_papers(folder)
    return folder


@pytest.fixture(scope="module")
def here(files: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Store and configuration of a library on this machine."""
    place = tmp_path_factory.mktemp("here")
    config = place / "aion.yaml"
    config.write_text(yaml.safe_dump({**LIBRARY, "datasets": [{"exports": ["csv"]}]}))
    with_pipelines(config, EXAMPLES)
    return ingested(files, place / "store", config), config


@pytest.fixture(scope="module")
def platform() -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch, running() as server:
        patch.setenv("AIONVISION_API_KEY", server.key)
        server.plan("UNLIMITED")
        server.described_at_once()
        yield server


@pytest.fixture(scope="module")
def there(
    files: Path, platform: Server, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The same of one at the platform."""
    place = tmp_path_factory.mktemp("there")
    config = configured(place / "aion.yaml", platform, library=LIBRARY)
    with_pipelines(config, EXAMPLES)
    return ingested(files, place / "store", config), config


@pytest.fixture(params=["here", "there"])
def library(request: pytest.FixtureRequest) -> tuple[Path, Path]:
    place: tuple[Path, Path] = request.getfixturevalue(request.param)
    return place


def ingested(files: Path, store: Path, config: Path) -> Path:
    code = main(["run", str(files), "--store", str(store), "--config", str(config)])
    assert code == 0
    return store


def graph(config: LibraryConfig) -> dict[str, set[str]]:
    """Every asset of a pipeline with those that it depends on."""
    nodes = build_definitions(config).resolve_asset_graph().asset_nodes
    return {
        node.key.to_user_string(): {key.to_user_string() for key in node.parent_keys}
        for node in nodes
        if node.key.path[0] == "pipeline"
    }


def test_the_examples_have_the_same_assets_wherever_they_come_from_and_run(
    here: tuple[Path, Path], there: tuple[Path, Path]
) -> None:
    local, remote = (
        LibraryConfig.from_env({}, flags={"store": str(s)}, file=c) for s, c in (here, there)
    )
    built = local.model_copy(update={"pipelines": tuple(in_python())})
    assert built == local
    calls = [p.model_copy(update={"mode": "single_call"}) for p in remote.pipelines]
    whole = remote.model_copy(update={"pipelines": tuple(calls)})
    assert graph(local) == graph(remote) == graph(built) == graph(whole)
    assert graph(local)["pipeline/maintenance/cross_reference"] == {
        "pipeline/maintenance/search_images",
        "pipeline/maintenance/search_documents",
    }
    assert "library" in graph(local)["pipeline/poles/search_images"]


def test_the_examples_run_and_another_run_repeats_nothing(
    library: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    store, config = library
    for name in NAMES:
        first = run_pipeline(capsys, name, store, config)
        assert set(statuses(first).values()) == {"completed"}, first
        again = run_pipeline(capsys, name, store, config)
        assert set(statuses(again).values()) == {"unchanged"}, again
        assert again["paid_calls"] == 0
    pictures = result_of(store, "poles", "search_images").items
    assert len(pictures) == 6
    assert all(item.id is not None and item.kind == "image" for item in pictures)
    plan = result_of(store, "poles", "organize").plan
    assert {p.id for p in plan} == {i.id for i in pictures}
    pieces = result_of(store, "maintenance", "search_documents").items
    assert {i.name.rpartition(".")[2] for i in pieces if i.kind == "document" and i.name} <= {
        "md",
        "txt",
        "markdown",
    }
    assert {i.kind for i in pieces} == {"document", "chunk"}


def test_the_platform_is_paid_a_call_a_step_and_its_costs_are_known(
    there: tuple[Path, Path],
    platform: Server,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    store, config = there
    before = platform.counters()["agent_calls_billed"]
    done = run_pipeline(capsys, "maintenance", store, config, "--again")
    assert set(statuses(done).values()) == {"completed"}
    assert platform.counters()["agent_calls_billed"] - before == done["paid_calls"] == 3
    assert "paid  3 calls ('costs' shows them by day)" in done["output"]
    facts = result_of(store, "maintenance", "cross_reference").facts
    assert facts["paid_calls"] == 1
    assert facts["input_tokens"] > 400
    with Store.open(store, create=False) as opened:
        operations = {s.operation: s for s in opened.ledger.spending()}
    assert operations["agent:cross_reference"].input_tokens > 400
    assert operations["agent:image_search"].settled >= 1
    platform.assert_clean()


def test_every_step_says_who_made_it(
    library: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    store, config = library
    run_pipeline(capsys, "papers", store, config)
    result = result_of(store, "papers", "analyze_documents")
    report = (store / "reports" / "pipeline" / "papers" / "analyze_documents.md").read_text()
    if not store.parent.name.startswith("there"):
        assert result.made_by == "tables"
        assert "no model wrote this" in report
        assert result.sentences
        assert all(s.sources for s in result.sentences)
        assert any("repair of the pole" in s.text for s in result.sentences)
    else:
        assert result.made_by == "aionvision"
        assert "Answered by the Aionvision platform" in report
        assert "Find key issues" in (result.text or "")
        assert {c.category for c in result.categories} == {"report"}


def test_one_step_alone_can_be_materialized_once_what_it_takes_from_is_there(
    here: tuple[Path, Path],
) -> None:
    store, file = here
    config = LibraryConfig.from_env({}, flags={"store": str(store)}, file=file)
    fresh = {"name": "fresh", "steps": [{"search_images": "picture"}, {"analyze": "color"}]}
    config = LibraryConfig.parse(config.model_dump(mode="json") | {"pipelines": [fresh]})
    job = build_definitions(config, quiet=True).resolve_job_def("run_pipeline_fresh")
    with embedded_instance(str(store)) as instance:
        only = [dg.AssetKey(["pipeline", "fresh", "analyze"])]
        early = job.execute_in_process(
            instance=instance, asset_selection=only, raise_on_error=False
        )
        assert not any(e.is_step_materialization for e in early.all_events)
        (check,) = early.get_asset_check_evaluations()
        assert "was never run; materialize it first" in (check.description or "")
        job.execute_in_process(instance=instance)
        late = job.execute_in_process(instance=instance, asset_selection=only)
        (event,) = late.get_asset_materialization_events()
        assert event.asset_key == only[0]


def test_a_pipeline_over_batches_has_a_partition_per_batch(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "aion.yaml"
    steps = [{"search_images": "landscape", "limit": 2}, {"organize": "by color"}]
    pipeline = {
        "name": "each",
        "schedule": "on_new",
        "seeds": {"images": "batch"},
        "steps": steps,
    }
    with_pipelines(config, [pipeline])
    store = tmp_path / "store"
    place = ["--store", str(store), "--config", str(config)]
    assert main(["run", str(files), "--batch-size", "3", "--export", "none", *place]) == 0
    done = run_pipeline(capsys, "each", store, config)
    # The run has made them, since they follow new batches.
    assert statuses(done) == {"search_images": "unchanged", "organize": "unchanged"}
    with Store.open(store, create=False) as opened:
        batches = [b.key for b in opened.ledger.batches()]
        assert len(batches) >= 2
        for batch in batches:
            own = set(opened.tables.read("images", batch=batch)["image_id"].to_pylist())
            found = {i.id for i in result_of(store, "each", "search_images", batch).items}
            assert found <= own
            assert len(found) == min(2, len(own - {None}))
            assert {p.id for p in result_of(store, "each", "organize", batch).plan} == found
    loaded = LibraryConfig.from_env({}, flags={"store": str(store)}, file=config)
    job = build_definitions(loaded, quiet=True).resolve_job_def("run_pipeline_each")
    ends = {"start": batches[0], "end": batches[-1]}
    tags = {f"dagster/asset_partition_range_{end}": batch for end, batch in ends.items()}
    with embedded_instance(str(store)) as instance:
        together = job.execute_in_process(instance=instance, tags=tags)
        events = together.get_asset_materialization_events()
        assert {e.partition for e in events} == set(batches)
        assert all(check.passed for check in together.get_asset_check_evaluations())


def test_pipelines_are_listed(here: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    store, config = here
    assert main(["pipeline", "list", "--store", str(store), "--config", str(config)]) == 0
    out = capsys.readouterr().out
    assert "maintenance  local, step by step, manual" in out
    assert "2  cross_reference (cross_reference) after search_images, search_documents" in out
    code = main(["pipeline", "run", "nothing", "--store", str(store), "--config", str(config)])
    assert code == 2
    assert "there is no pipeline 'nothing'; configured are: poles" in capsys.readouterr().err


def test_schedules_ask_anew_at_each_tick(here: tuple[Path, Path]) -> None:
    store, file = here
    config = LibraryConfig.from_env({}, flags={"store": str(store)}, file=file)
    data: dict[str, Any] = {"name": "nightly", "schedule": "0 3 * * *", "timezone": "Europe/Berlin"}
    data["steps"] = [{"search_images": "picture"}]
    config = LibraryConfig.parse(config.model_dump(mode="json") | {"pipelines": [data]})
    definitions = build_definitions(config, quiet=True)
    schedule = definitions.resolve_schedule_def("pipeline_nightly_schedule")
    assert schedule.cron_schedule == "0 3 * * *"
    assert schedule.execution_timezone == "Europe/Berlin"
    job = definitions.resolve_job_def("run_pipeline_nightly")
    with embedded_instance(str(store)) as instance:
        for tick, unchanged in (("one", False), ("one", True), ("two", False)):
            done = job.execute_in_process(instance=instance, tags={"aion_dagster/occasion": tick})
            (event,) = done.get_asset_materialization_events()
            assert ("unchanged" in event.materialization.metadata) == unchanged, tick


def test_a_failed_step_leaves_the_others_and_the_next_run_goes_on_from_it(
    there: tuple[Path, Path], platform: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    store, config = there
    platform.fault("failing", "POST /agents/pipeline", message="no words")
    before = platform.counters()["agent_calls_billed"]
    broken = run_pipeline(capsys, "maintenance", store, config, "--again", status=1)
    assert statuses(broken) == {
        "search_images": "completed",
        "search_documents": "completed",
        "cross_reference": "failed",
    }
    assert "cross_reference: Aionvision: no words" in broken["problems"]
    mended = run_pipeline(capsys, "maintenance", store, config)
    assert statuses(mended)["cross_reference"] == "completed"
    assert statuses(mended)["search_images"] == "unchanged"
    assert mended["paid_calls"] == 1
    assert platform.counters()["agent_calls_billed"] - before == 4


def test_a_plan_is_carried_out_only_where_the_configuration_says_so(
    here: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, _ = here
    apply = {"to": "folder", "target": str(tmp_path / "sorted"), "confirm": True}
    steps = [{"organize": "Sort by color", "apply": apply}]
    seeds = {"images": "all", "documents": "all"}
    config = tmp_path / "aion.yaml"
    config.write_text((here[1]).read_text())
    with_pipelines(config, [{"name": "tidy", "seeds": seeds, "steps": steps}])
    done = run_pipeline(capsys, "tidy", store, config)
    told = f"8 files copied into {tmp_path / 'sorted'}"
    assert done["applied"]["organize"]["status"] == "completed"
    assert done["applied"]["organize"]["told"] == told
    assert done["applied"]["organize"]["done"] == 8
    assert f"applied   completed  {told}" in done["output"]
    assert "nothing was moved" not in done["output"]
    report = (store / "reports" / "pipeline" / "tidy" / "organize.md").read_text()
    assert f"## Carried out\n\n{told}".replace("_", "\\_") in report
    again = run_pipeline(capsys, "tidy", store, config)
    assert "0 files copied" in again["applied"]["organize"]["told"]
    assert "8 so already" in again["applied"]["organize"]["told"]
    report = (store / "reports" / "pipeline" / "tidy" / "organize.md").read_text()
    assert report.count("## Carried out") == 1
    place = ["--store", str(store), "--config", str(config)]
    assert main(["pipeline", "list", *place]) == 0
    assert f"applied: folder {tmp_path / 'sorted'}" in capsys.readouterr().out
    plan = result_of(store, "tidy", "organize").plan
    copies = [p for p in (tmp_path / "sorted").rglob("*") if p.is_file()]
    assert len(copies) == len(plan) == 8
    assert {p.parent.name for p in copies} == {p.folder for p in plan}
    with_pipelines(
        config,
        [
            {
                "name": "tidy",
                "seeds": seeds,
                "steps": [steps[0] | {"apply": {**apply, "target": str(store)}}],
            }
        ],
    )
    assert main(["pipeline", "run", "tidy", *place]) == 2
    assert "lie in each other" in capsys.readouterr().err


def test_a_plan_that_cannot_be_carried_out_is_told_with_its_step_and_file(
    here: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, _ = here
    (tmp_path / "sorted").write_text("a file, no folder")
    apply = {"to": "folder", "target": str(tmp_path / "sorted"), "confirm": True}
    config = tmp_path / "aion.yaml"
    config.write_text((here[1]).read_text())
    steps = [{"organize": "Sort by color", "apply": apply}]
    with_pipelines(config, [{"name": "blocked", "seeds": {"images": "all"}, "steps": steps}])
    failed = run_pipeline(capsys, "blocked", store, config, status=1)
    assert statuses(failed) == {"organize": "completed"}
    assert failed["applied"]["organize"]["status"] == "failed"
    assert "organize: the plan was not carried out: picture 0" in failed["problems"]
    assert "Not a directory" in failed["problems"]
    assert "Errno" not in failed["problems"]


@pytest.mark.parametrize(
    ("apply", "told"),
    [
        ({"to": "tags"}, "6 files tagged at the platform"),
        (
            {"to": "platform_folders", "target": "sorted"},
            "6 files put into folders of the platform below sorted",
        ),
        ({"to": "platform"}, "6 files put into folders by the platform's own agent"),
    ],
)
def test_a_shared_account_ends_well_and_what_was_done_there_is_told(
    there: tuple[Path, Path],
    platform: Server,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    apply: dict[str, Any],
    told: str,
) -> None:
    store, _ = there
    config = tmp_path / "aion.yaml"
    config.write_text(there[1].read_text())
    name = f"shared_{apply['to']}"
    steps = [
        {"search_images": "picture"},
        {"organize": "Sort by color", "apply": apply | {"confirm": True}},
    ]
    with_pipelines(config, [{"name": name, "steps": steps}])
    with asking(platform) as ask:
        stranger = ask.uploaded(999)
        try:
            done = run_pipeline(capsys, name, store, config, "--again")
        finally:
            ask.ok("DELETE", f"/user-files/{stranger}")
    assert set(statuses(done).values()) == {"completed"}
    assert done["applied"]["organize"]["told"] == told
    assert f"applied        completed  {told}" in done["output"]
    found = result_of(store, name, "search_images").items
    assert [i.remote_id for i in found if i.id is None] == [stranger]
    assert {i.name for i in found if i.id} == {f"picture {i:02}.jpg" for i in range(6)}
    plan = result_of(store, name, "organize")
    assert "left out 1 file of the platform that is not of this library" in plan.summary
    report = (store / "reports" / "pipeline" / name / "organize.md").read_text()
    assert "## Carried out" in report


def test_what_a_library_lacks_for_a_pipeline_is_listed_before_it_is_run(
    here: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, _ = here
    config = tmp_path / "aion.yaml"
    pipelines = [
        {"name": "news", "steps": [{"search_links": "news"}]},
        {"name": "some", "seeds": {"images": ["nobody"]}, "steps": [{"analyze": "x"}]},
        {"name": "good", "seeds": {"documents": "all"}, "steps": [{"analyze_documents": "x"}]},
    ]
    with_pipelines(config, pipelines)
    place = ["--store", str(store), "--config", str(config)]
    assert main(["pipeline", "list", "--json", *place]) == 0
    listed = {p["name"]: p["lacking"] for p in json.loads(capsys.readouterr().out)}
    assert "this library has no links to search" in listed["news"][0]
    assert listed["some"] == ["seeds.images: 'nobody' is not in the library"]
    assert listed["good"] == []
    assert main(["pipeline", "list", *place]) == 0
    assert "lacking: seeds.images: 'nobody' is not" in capsys.readouterr().out
    failed = run_pipeline(capsys, "news", store, config, status=1)
    assert "lacking: step 0 'search_links'" in failed["problems"]


def test_what_follows_the_library_is_asked_for_by_itself(here: tuple[Path, Path]) -> None:
    store, file = here
    config = LibraryConfig.from_env({}, flags={"store": str(store)}, file=file)
    steps = [{"search_images": "picture"}, {"analyze": "color"}]
    pipelines = [
        {"name": "follows", "schedule": "on_new", "steps": steps},
        {"name": "waits", "steps": steps},
    ]
    config = LibraryConfig.parse(config.model_dump(mode="json") | {"pipelines": pipelines})
    definitions = build_definitions(config, quiet=True)
    with embedded_instance(str(store)) as instance:
        job = definitions.resolve_job_def("update_library")
        result = dg.evaluate_automation_conditions(definitions, instance)
        job.execute_in_process(
            instance=instance, asset_selection=[dg.AssetKey("library"), dg.AssetKey("search_index")]
        )
        result = dg.evaluate_automation_conditions(definitions, instance, cursor=result.cursor)
        keys = {dg.AssetKey(["pipeline", "follows", n]) for n in ("search_images", "analyze")}
        assert keys == {key for key in keys if result.get_num_requested(key)}
        assert not result.get_num_requested(dg.AssetKey(["pipeline", "waits", "search_images"]))


@pytest.mark.needs_shared
def test_the_examples_run_on_photographs(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = with_pipelines(tmp_path / "aion.yaml", EXAMPLES)
    config.write_text(config.read_text() + yaml.safe_dump(LIBRARY))
    write_papers(tmp_path / "papers")
    store = tmp_path / "store"
    place = ["--store", str(store), "--config", str(config), "--export", "none"]
    assert main(["run", str(shared_data / "photos"), str(tmp_path / "papers"), *place]) == 0
    for name in NAMES:
        done = run_pipeline(capsys, name, store, config)
        assert set(statuses(done).values()) == {"completed"}, done
    relations = result_of(store, "maintenance", "cross_reference").relationships
    assert {"same_time", "same_place"} <= {r.relation for r in relations}
    plan = result_of(store, "poles", "organize").plan
    assert len({p.folder for p in plan}) > 1
