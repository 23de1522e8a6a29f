"""Steps at the platform: each question is paid once, whatever dies in between; what moves files is never repeated."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aionvision_server.fixtures import Server, running
from known_library import BATCH, PICTURES, rows
from remote_library import PAID, brought_there, ran, remote_agents

from aion_dagster import schemas
from aion_dagster.errors import AionError
from aion_dagster.pipelines.asked_once import AgentError, InDoubtError
from aion_dagster.pipelines.builder import Pipeline
from aion_dagster.pipelines.carrying_out import moved, organized, tagged
from aion_dagster.pipelines.kept import read_result
from aion_dagster.pipelines.material import Material
from aion_dagster.pipelines.remote import ORGANIZE
from aion_dagster.pipelines.remote_ids import RemoteIds
from aion_dagster.pipelines.report import missing_sources
from aion_dagster.pipelines.runner import Finished
from aion_dagster.storage.call_records import Cap
from aion_dagster.storage.store import Store

SCRIPT = Path(__file__).with_name("killed_steps.py")
ROOT = Path(__file__).parents[2]
IS_SOAK = os.environ.get("AION_TEST_TIER") == "soak"
SEARCHES = "POST /agents/search/*"
MORE_CALLS = (
    (SEARCHES, 2, False),
    ("POST /agents/synthesize", 1, True),
    ("POST /agents/synthesize", 1, False),
    ("POST /agents/pipeline", 1, True),
    ("POST /agents/pipeline", 1, False),
)
"""Calls to die in: `accepted` after the server has done it, otherwise before."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch, running() as started:
        patch.setenv("AIONVISION_API_KEY", started.key)
        started.plan("UNLIMITED")
        started.described_at_once()
        yield started


@pytest.fixture(scope="module")
def template(
    filled_store: Path, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, str]]:
    """A store whose pictures and documents are at the platform; the ids there."""
    place = shutil.copytree(filled_store, tmp_path_factory.mktemp("there") / "store")
    with Store.open(place) as store:
        return place, brought_there(store, server)


@pytest.fixture
def store(template: tuple[Path, dict[str, str]], tmp_path: Path) -> Iterator[Store]:
    with Store.open(shutil.copytree(template[0], tmp_path / "store")) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _faultless(server: Server) -> Iterator[None]:
    yield
    server.clear_faults()
    server.assert_clean()


def billed(server: Server) -> int:
    return int(server.counters()["agent_calls_billed"])


def ended(done: dict[str, Finished]) -> dict[str, str]:
    return {name: one.status for name, one in done.items()}


def in_flight(store: Store) -> int:
    """Calls that were sent and whose answers were never noted."""
    with closing(sqlite3.connect(store.local / "ledger.sqlite")) as database:
        (count,) = database.execute("SELECT count(*) FROM calls WHERE state = 'sent'").fetchone()
    return int(count)


def test_a_step_is_asked_by_its_own_endpoint_else_by_a_pipeline_of_one(
    store: Store, server: Server, template: tuple[Path, dict[str, str]]
) -> None:
    _, there = template
    since = max((e["number"] for e in server.log()), default=0)
    before = billed(server)
    assert set(ended(ran(store, remote_agents(store, server.url))).values()) == {"completed"}
    assert billed(server) - before == 4
    asked = [e["operation"] for e in server.log("agents", since)]
    assert sorted(asked) == [
        "POST /agents/pipeline",
        "POST /agents/search/documents",
        "POST /agents/search/images",
        "POST /agents/synthesize",
    ]
    pictures = read_result(store, "paid", "search_images").items
    assert {(i.id, i.remote_id) for i in pictures} == {
        (own, there[own]) for own in ("pole-1", "pole-2", "tree-1", "tree-2")
    }
    report = read_result(store, "paid", "synthesize")
    assert report.made_by == "aionvision"
    assert "On 4 images and 2 documents." in (report.text or "")
    assert report.facts["input_tokens"] > 0


def test_searches_are_under_way_together(store: Store, server: Server) -> None:
    agents = remote_agents(store, server.url)
    server.hold(SEARCHES, times=2)
    done: dict[str, Finished] = {}
    work = threading.Thread(target=lambda: done.update(ran(store, agents)))
    work.start()
    assert len(server.wait_held(2)) == 2
    server.release()
    work.join()
    assert set(ended(done).values()) == {"completed"}


def test_a_step_that_failed_is_asked_again_and_nothing_else_is(
    store: Store, server: Server
) -> None:
    server.fault("failing", "POST /agents/pipeline", message="no words")
    before = billed(server)
    first = ran(store, remote_agents(store, server.url))
    assert ended(first)["cross_reference"] == "failed"
    assert "no words" in (first["cross_reference"].reason or "")
    assert ended(first)["synthesize"] == "completed"
    again = ran(store, remote_agents(store, server.url))
    assert ended(again) == {
        "search_images": "unchanged",
        "search_documents": "unchanged",
        "cross_reference": "completed",
        "synthesize": "unchanged",
    }
    assert billed(server) - before == 5


def test_a_question_that_was_answered_is_never_paid_again(store: Store, server: Server) -> None:
    ran(store, remote_agents(store, server.url))
    before = billed(server)
    shutil.rmtree(store.root / "sets")
    done = ran(store, remote_agents(store, server.url))
    assert set(ended(done).values()) == {"completed"}
    assert billed(server) == before
    assert read_result(store, "paid", "synthesize").facts["answers_without_call"] == 1
    ran(store, remote_agents(store, server.url), occasion="tuesday")
    assert billed(server) == before + 4


def test_a_budget_stops_calls_and_what_is_done_is_kept(store: Store, server: Server) -> None:
    agents = remote_agents(store, server.url)
    calls = store.ledger.paid_calls("small", [Cap("run", calls=1)])
    agents.backend.note_in(calls)
    poor = type(agents)(store, agents.backend, calls, agents.local)
    before = billed(server)
    done = ran(store, poor)
    assert sorted(ended(done).values()) == ["completed", "failed", "skipped", "skipped"]
    assert any("the budget of 1 calls" in (one.reason or "") for one in done.values())
    assert billed(server) - before == 1


def environment() -> dict[str, str]:
    """The script finds what these tests are made of."""
    return os.environ | {"PYTHONPATH": f"{SCRIPT.parent}:{SCRIPT.parents[1]}"}


def killed(place: Path, url: str, moment: int) -> tuple[int, str]:
    command = [sys.executable, str(SCRIPT), str(place), url, str(moment)]
    run = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=environment(), timeout=120
    )
    return run.returncode, run.stdout + run.stderr


def test_a_kill_at_any_step_boundary_pays_for_no_more_than_the_calls_in_flight(
    template: tuple[Path, dict[str, str]], server: Server, tmp_path: Path
) -> None:
    chosen = [12, 27]  # of about forty
    if IS_SOAK:
        status, out = killed(shutil.copytree(template[0], tmp_path / "all"), server.url, 0)
        assert status == 0, out
        chosen = list(range(1, int(out.split()[-1]) + 1))
    for moment in chosen:
        before = billed(server)
        place = shutil.copytree(template[0], tmp_path / str(moment))
        status, out = killed(place, server.url, moment)
        # The order of threads is not the same each time: there may be a few moments fewer.
        assert status in (0, -9), out
        with Store.open(place) as opened:
            agents = remote_agents(opened, server.url)
            doubtful = in_flight(opened)
            done = ran(opened, agents)
            assert {one.stored is not None for one in done.values()} == {True}, (moment, done)
        assert billed(server) - before <= len(PAID.steps) + doubtful, moment


@pytest.mark.parametrize(
    ("operation", "together", "accepted"),
    [(SEARCHES, 2, True), *(MORE_CALLS if IS_SOAK else ())],
)
def test_a_kill_inside_a_call_repeats_that_call_alone(
    template: tuple[Path, dict[str, str]],
    server: Server,
    tmp_path: Path,
    operation: str,
    together: int,
    accepted: bool,
) -> None:
    if not IS_SOAK and (operation, accepted) not in (
        (SEARCHES, True),
        ("POST /agents/synthesize", False),
    ):
        return
    place = shutil.copytree(template[0], tmp_path / "store")
    before = billed(server)
    server.hold(operation, accepted=accepted, times=together)
    command = [sys.executable, str(SCRIPT), str(place), server.url, "0"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL
    ) as process:
        server.wait_held(together, timeout=120)
        process.kill()
    server.clear_faults()
    server.release("reset")
    with Store.open(place) as opened:
        agents = remote_agents(opened, server.url)
        doubtful = in_flight(opened)
        assert doubtful >= together
        done = ran(opened, agents)
        assert {one.stored is not None for one in done.values()} == {True}
    assert billed(server) - before <= len(PAID.steps) + doubtful


def organized_there(server: Server) -> int:
    """Requests to organize that came to the server."""
    return int(server.counters()["requests"].get("POST /agents/organize", 0))


def plan_of(store: Store, server: Server) -> Any:
    pipeline = Pipeline("order").search_images("picture").organize("Sort").config()
    ran(store, remote_agents(store, server.url), pipeline)
    return read_result(store, "order", "organize").plan


def test_organize_is_a_plan_made_here_and_costs_nothing(store: Store, server: Server) -> None:
    before = organized_there(server)
    plan = plan_of(store, server)
    assert {p.id for p in plan} == {"pole-1", "pole-2", "tree-1", "tree-2"}
    assert organized_there(server) == before


@pytest.mark.parametrize("mode", ["steps", "single_call"])
def test_pictures_that_others_sent_there_are_found_and_left_out_of_plans(
    store: Store, server: Server, template: tuple[Path, dict[str, str]], mode: str
) -> None:
    _, there = template
    uploads = store.tables.read("uploads", batch=BATCH)
    own = [r for r in uploads.to_pylist() if r["image_id"] not in ("tree-1", "tree-2")]
    store.tables.write("uploads", rows(schemas.UPLOADS, own), batch=BATCH)
    steps = Pipeline("shared").search_images("picture").with_settings(mode=mode)
    pipeline = (steps.organize("Sort") if mode == "steps" else steps).config()
    done = ran(store, remote_agents(store, server.url), pipeline)
    assert set(ended(done).values()) == {"completed"}
    found = read_result(store, "shared", "search_images").items
    assert {i.remote_id: i.id for i in found} == {
        remote: key if key.startswith("pole") else None
        for key, remote in there.items()
        if key in PICTURES
    }
    # The library's own are called what it calls them, and say what it has written of them.
    told = {i.id: (i.name, bool(i.text)) for i in found if i.id}
    assert told == {"pole-1": ("a/pole.jpg", True), "pole-2": ("b/pole.jpg", True)}
    kept = done["search_images"].stored
    assert kept is not None
    report = kept.report.read_bytes().decode()
    assert "Among them 2 files of the platform that are not of this library." in report
    assert f"not of this library (`{there['tree-1']}` at the platform)" in report
    if mode == "steps":
        plan = read_result(store, "shared", "organize")
        assert {p.id for p in plan.plan} == {"pole-1", "pole-2"}
        assert plan.summary.endswith(
            "left out 2 files of the platform that are not of this library"
        )
        assert missing_sources(plan, Material(store)) == []


def test_a_picture_of_the_library_may_be_named_by_its_id_at_the_platform(
    store: Store, server: Server, template: tuple[Path, dict[str, str]]
) -> None:
    _, there = template
    seeds = [there["tree-1"], "pole-1", "nobody-knows"]
    pipeline = Pipeline("named").with_images(seeds).organize("Sort").config()
    done = ran(store, remote_agents(store, server.url), pipeline)
    assert ended(done) == {"organize": "completed"}
    plan = read_result(store, "named", "organize")
    assert {(p.id, p.name) for p in plan.plan} == {
        ("tree-1", "a/tree.jpg"),
        ("pole-1", "a/pole.jpg"),
    }
    assert plan.facts["not_of_this_library"] == 1


def test_the_platform_organizes_once_and_never_again_blindly(store: Store, server: Server) -> None:
    plan = plan_of(store, server)
    before = organized_there(server)

    def asked() -> int:
        return organized_there(server) - before

    done = organized(plan, "Sort", remote_agents(store, server.url), "")
    assert (done.done, asked()) == (4, 1)
    again = organized(plan, "Sort", remote_agents(store, server.url), "")
    assert (again.done, again.there, asked()) == (0, 4, 1)
    server.fault("reset_after", "POST /agents/organize")
    with pytest.raises(AgentError):
        organized(plan, "Sort", remote_agents(store, server.url), "tuesday")
    with pytest.raises(AionError, match="failed for good before"):
        organized(plan, "Sort", remote_agents(store, server.url), "tuesday")
    assert asked() == 2


def test_an_organize_whose_answer_never_came_is_not_sent_again(
    store: Store, server: Server
) -> None:
    plan = plan_of(store, server)
    agents = remote_agents(store, server.url)
    images = RemoteIds(store).remotes(plan)
    key = agents.key(ORGANIZE, ["Sort", images, []], [""])
    agents.calls.begin([key])
    agents.calls.sent([key])
    before = billed(server)
    with pytest.raises(InDoubtError, match="its answer never came"):
        organized(plan, "Sort", remote_agents(store, server.url), "")
    assert billed(server) == before


@pytest.mark.parametrize("accepted", [True, False])
def test_a_kill_while_the_platform_organizes_leaves_it_to_a_person_to_ask_again(
    store: Store, server: Server, accepted: bool
) -> None:
    plan = plan_of(store, server)
    before = organized_there(server)
    server.hold("POST /agents/organize", accepted=accepted)
    script = SCRIPT.with_name("killed_organize.py")
    command = [sys.executable, str(script), str(store.root), server.url]
    with subprocess.Popen(command, cwd=ROOT, env=environment()) as process:
        server.wait_held(1, timeout=120)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    server.clear_faults()
    server.release("reset")
    assert organized_there(server) == before + 1
    for _ in range(2):
        with pytest.raises(InDoubtError, match="its answer never came"):
            organized(plan, "Sort", remote_agents(store, server.url), "")
    assert organized_there(server) == before + 1
    # The explicit yes: another occasion.
    organized(plan, "Sort", remote_agents(store, server.url), "looked at by a person")
    assert organized_there(server) == before + 2


def test_a_single_call_has_the_same_steps_and_links_and_text_too(
    store: Store, server: Server
) -> None:
    steps = Pipeline("whole").search_images("picture").analyze("what").synthesize("write")
    pipeline = steps.search_links("news").analyze_links("all").with_settings(mode="single_call")
    before = billed(server)
    done = ran(store, remote_agents(store, server.url), pipeline.config())
    assert set(ended(done).values()) == {"completed"}
    assert billed(server) - before == 1
    assert len(read_result(store, "whole", "search_images").items) == 4
    assert read_result(store, "whole", "search_images").facts["paid_calls"] == 1
    again = ran(store, remote_agents(store, server.url), pipeline.config())
    assert set(ended(again).values()) == {"unchanged"}


def test_a_node_that_fails_in_a_single_call_leaves_the_others_results(
    store: Store, server: Server
) -> None:
    steps = Pipeline("broken").search_images("picture").analyze("tell", depends_on=[0])
    pipeline = steps.search_documents("report").with_settings(mode="single_call").config()
    server.fault("failing", "POST /agents/pipeline", about="tell", message="no words")
    first = ran(store, remote_agents(store, server.url), pipeline)
    assert ended(first) == {
        "search_images": "completed",
        "analyze": "failed",
        "search_documents": "completed",
    }
    second = ran(store, remote_agents(store, server.url), pipeline)
    assert set(ended(second).values()) == {"completed"}


def test_folders_are_made_and_files_moved_as_planned_however_often(
    store: Store, server: Server
) -> None:
    plan = plan_of(store, server)
    agents, ids = remote_agents(store, server.url), RemoteIds(store)
    before = billed(server)
    with agents.backend.sync_client() as client:
        done = moved(plan, "sorted", ids, client)
        assert done.done == 4
        again = moved(plan, "sorted", ids, client)
        assert again.facts == {"folders_created": 0}
        tree = client.folders.tree()
        (top,) = [f for f in tree.children() if f.name == "sorted"]
        folders = {f.name: f.file_count for f in tree.children(top.id)}
    assert folders == {name: sum(p.folder == name for p in plan) for name in folders}
    assert sum(folders.values()) == 4
    assert done.facts == {"folders_created": 1 + len(folders)}
    assert billed(server) == before


def test_a_folder_s_name_becomes_a_tag_more_of_each_file(store: Store, server: Server) -> None:
    plan = plan_of(store, server)
    agents = remote_agents(store, server.url)
    with agents.backend.sync_client() as client:
        before = {f.id: f.tags for f in client.files.list(limit=100).files}
        done = tagged(plan, RemoteIds(store), client)
        assert (done.done, done.failures) == (4, ())
        again = tagged(plan, RemoteIds(store), client)
        assert (again.done, again.there) == (0, 4)
        after = {f.id: f.tags for f in client.files.list(limit=100).files}
    for one, remote in zip(plan, RemoteIds(store).remotes(plan), strict=True):
        assert remote is not None
        assert set(after[remote]) == {*before[remote], one.folder}


def test_agents_without_an_endpoint_are_asked_as_pipelines_of_one_step(
    store: Store, server: Server, template: tuple[Path, dict[str, str]]
) -> None:
    _, there = template
    # Its own id of one picture, the platform's of another.
    steps = Pipeline("single").with_images(["pole-1", there["tree-1"]]).search_links("news")
    steps = steps.analyze("what", depends_on=[]).analytics("how many", depends_on=[])
    pipeline = steps.chat("why", depends_on=[]).config()
    since = max((e["number"] for e in server.log()), default=0)
    done = ran(store, remote_agents(store, server.url), pipeline)
    assert set(ended(done).values()) == {"completed"}, done
    assert [e["operation"] for e in server.log("agents", since)] == ["POST /agents/pipeline"] * 4
    for step in ("analyze", "analytics", "chat"):
        assert "of 2 files" in (read_result(store, "single", step).text or "")
    assert read_result(store, "single", "search_links").items == ()


def test_what_is_not_at_the_platform_is_said(store: Store, server: Server) -> None:
    store.tables.delete("uploads", BATCH)
    pipeline = Pipeline("lost").with_images(["pole-1"]).analyze("what").config()
    done = ran(store, remote_agents(store, server.url), pipeline)
    assert ended(done) == {"analyze": "failed"}
    assert "none of the 1 things to work on is at the platform" in (done["analyze"].reason or "")
