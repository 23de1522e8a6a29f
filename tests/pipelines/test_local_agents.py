"""Agents on this machine: what they find and say comes from the tables, and every sentence names where from."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster.checks.pipelines import sources_check
from aion_dagster.errors import ConfigError, SourceError
from aion_dagster.pipelines.builder import Pipeline
from aion_dagster.pipelines.carrying_out import CarriedOut, TargetError, check_target, copied
from aion_dagster.pipelines.kept import read_result
from aion_dagster.pipelines.local import LocalAgents
from aion_dagster.pipelines.local_plan import folder_name, named_categories
from aion_dagster.pipelines.material import Material
from aion_dagster.pipelines.report import markdown, missing_sources
from aion_dagster.pipelines.results import Placed, Sentence, Source, StepResult
from aion_dagster.pipelines.runner import PipelineRun
from aion_dagster.pipelines.steps import ApplyConfig
from aion_dagster.storage.places import place_of
from aion_dagster.storage.store import Store


def results(store: Store, pipeline: Pipeline) -> dict[str, StepResult]:
    """Run a pipeline here; what each step came to."""
    config = pipeline.config()
    for finished in PipelineRun(config, store, LocalAgents(store)).run():
        assert finished.stored is not None, finished.reason
    return {name: read_result(store, config.name, name) for name in config.step_names}


@pytest.fixture(scope="module")
def store(filled_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One for all tests here: they only add results of their own."""
    place = shutil.copytree(filled_store, tmp_path_factory.mktemp("agents") / "store")
    with Store.open(place) as opened:
        yield opened


ALL = Pipeline("all").with_images("all").with_documents("all")


def test_searches_find_pictures_documents_and_their_pieces(store: Store) -> None:
    found = results(store, Pipeline("x").search_images("damaged pole").search_documents("pole"))
    assert found["search_images"].items[0].id == "pole-1"
    kinds = [(i.kind, i.id, i.part_of) for i in found["search_documents"].items]
    assert kinds[0] == ("document", "records", None)
    assert {k for k in kinds if k[0] == "chunk"} == {
        ("chunk", "records-0", "records"),
        ("chunk", "records-1", "records"),
    }


def test_links_are_searched_analyzed_and_related(store: Store) -> None:
    steps = Pipeline("x").search_links("broken utility poles").analyze_links("storm")
    found = results(store, steps.with_images("all").cross_reference("poles"))
    (link,) = found["search_links"].items
    assert (link.id, link.name) == ("https://news.example/storm", "The storm")
    said = [s.text for s in found["analyze_links"].sentences]
    assert "A storm broke many utility poles." in said
    related = {(r.from_id, r.to_id) for r in found["cross_reference"].relationships}
    assert ("pole-1", link.id) in related


def test_a_search_keeps_to_its_seeds(store: Store) -> None:
    found = results(store, Pipeline("x").with_images(["pole-2", "tree-1"]).search_images("pole"))
    assert [i.id for i in found["search_images"].items] == ["pole-2"]


def test_an_analysis_counts_what_is_in_the_tables(store: Store) -> None:
    told = results(store, ALL.analyze("everything", depends_on=[]))["analyze"]
    said = [s.text for s in told.sentences]
    assert "2 of 4 pictures are tagged “pole”." in said
    assert any(s.startswith("“field” and “tree” stand together on 2 pictures") for s in said)
    assert "2 pictures look nearly the same: a/tree.jpg, b/oak.jpg." in said
    assert "2 pictures are mostly of the color family “cool”." in said
    assert any("2026-01-01 09:00 to 2026-01-01 11:00" in s for s in said)
    assert any("taken near 52.505° N, 13.405° E" in s for s in said)
    assert {c.category for c in told.categories if c.basis == "color"} == {"cool", "earth_tone"}


def test_the_intent_decides_what_comes_first(store: Store) -> None:
    color = results(store, ALL.analyze("colors", depends_on=[]))["analyze"].sentences[0]
    duplicates = results(store, ALL.analyze("near-duplicates"))["analyze"].sentences[0]
    assert (color.section, duplicates.section) == ("Color", "Near-duplicates")


def test_pictures_and_documents_that_share_words_are_related(store: Store) -> None:
    told = results(store, ALL.cross_reference("poles"))["cross_reference"]
    assert told.summary.endswith("relationships between 4 pictures, 2 documents")
    relations = {(r.relation, r.from_id, r.to_id) for r in told.relationships}
    assert ("near_duplicate", "tree-1", "tree-2") in relations
    assert ("same_place", "pole-1", "pole-2") in relations
    assert ("shared_words", "pole-1", "records-1") in relations
    assert ("shared_words", "pole-2", "records-0") in relations
    assert not any(r.to_id.startswith("lease") for r in told.relationships)


@pytest.mark.parametrize(
    "steps",
    [
        ALL.synthesize("damaged poles"),
        ALL.cross_reference("poles").synthesize("poles"),
        ALL.analyze("tags").synthesize("what is on the pictures"),
        ALL.synthesize("zzz qqq"),
        Pipeline("x").chat("What is damaged?"),
        ALL.analytics("how many?"),
        ALL.analyze_documents("repair"),
    ],
)
def test_no_sentence_is_without_a_source_and_every_source_exists(
    store: Store, steps: Pipeline
) -> None:
    for result in results(store, steps).values():
        assert result.made_by != "model"
        assert all(s.sources for s in result.sentences)
        assert missing_sources(result, Material(store)) == []
    assert result.sentences


def test_a_synthesis_takes_the_sentences_that_answer_and_says_that_it_did(store: Store) -> None:
    told = results(store, ALL.synthesize("damaged pole over the road"))["synthesize"]
    assert told.made_by == "extractive"
    said = " ".join(s.text for s in told.sentences)
    assert "The damaged pole over the road leans since the storm." in said
    assert "tenant" not in said
    assert "no model wrote this" in markdown(told, "x")


def test_a_reference_that_does_not_exist_is_found_out(store: Store) -> None:
    result = StepResult(
        agent="assistant",
        made_by="model",
        sentences=(
            Sentence("A", "good", (Source("image", "pole-1"), Source("chunk", "lease-0"))),
            Sentence("A", "bad", (Source("image", "pole-9"),)),
            Sentence("A", "worse", ()),
        ),
    )
    problems = missing_sources(result, Material(store))
    assert problems == [
        "“bad” rests on image pole-9, which the library does not have",
        "“worse” has no source",
    ]
    check = sources_check(dg.AssetKey("x"), problems)
    assert not check.passed
    assert "“bad” rests on image pole-9" in (check.description or "")
    assert "(and 1 more" in (check.description or "")
    assert "aion-dagster pipeline run NAME --again" in (check.description or "")


@pytest.mark.parametrize(
    ("intent", "folders"),
    [
        ("Sort by color", {"earth tone": 2, "cool": 2}),
        ("Sort by date", {"2026-01-01": 4}),
        ("Sort into poles and trees", {"poles": 2, "trees": 2}),
        ("by subject: pole, snow", {"pole": 2, "snow": 1, "other": 1}),
    ],
)
def test_a_plan_follows_the_intent(store: Store, intent: str, folders: dict[str, int]) -> None:
    plan = results(store, Pipeline("x").with_images("all").organize(intent))["organize"].plan
    counts = {f: sum(p.folder.replace("_", " ") == f for p in plan) for f in folders}
    assert counts == folders
    assert len(plan) == 4


def test_a_plan_without_a_hint_has_folders_named_by_their_words(store: Store) -> None:
    plan = results(store, Pipeline("x").with_documents("all").organize("put in order"))["organize"]
    assert {p.folder for p in plan.plan} != {"other"}
    assert "clusters" in plan.plan[0].reason


@pytest.mark.parametrize(
    ("intent", "names"),
    [
        ("Sort into roofs, walls and gardens", ["roofs", "walls", "gardens"]),
        ("by room: kitchen; hall", ["kitchen", "hall"]),
        ("Sort into folders: A, B", ["A", "B"]),
        ("Sort into 4 folders", []),
        ("Sort by damage severity", []),
    ],
)
def test_categories_are_read_from_the_intent(intent: str, names: list[str]) -> None:
    assert named_categories(intent) == names


@given(st.text())
def test_a_folder_s_name_is_one_part_of_a_path(text: str) -> None:
    name = folder_name(text)
    assert name
    assert name not in (".", "..")
    assert "/" not in name
    assert "\\" not in name
    assert len(name) <= 60


def placed(name: str, key: str, folder: str = "poles") -> Placed:
    return Placed(folder, "image", key, None, name, "because")


def test_a_plan_is_carried_out_as_copies_that_overwrite_nothing(tmp_path: Path) -> None:
    plan = [placed("a/pole.jpg", "11111111x"), placed("b/POLE.jpg", "22222222x")]
    plan += [placed("../../..", "33333333x"), placed("gone.jpg", "44444444x")]
    contents = {"11111111x": b"one", "22222222x": b"two", "33333333x": b"three"}

    def read(_kind: str, key: str) -> bytes:
        if key not in contents:
            raise SourceError(f"{key} is gone")
        return contents[key]

    (tmp_path / "poles").mkdir()
    (tmp_path / "poles" / "pole.jpg").write_bytes(b"somebody else's")
    done = copied(plan, tmp_path, read)
    assert (done.done, done.there, done.failures) == (3, 0, ("gone.jpg: 44444444x is gone",))
    files = {
        p.relative_to(tmp_path).as_posix(): p.read_bytes()
        for p in tmp_path.rglob("*")
        if p.is_file()
    }
    assert files == {
        "poles/pole.jpg": b"somebody else's",
        "poles/pole-11111111.jpg": b"one",
        "poles/POLE-22222222.jpg": b"two",
        "poles/33333333x": b"three",
    }
    again = copied(plan, tmp_path, read)
    assert (again.done, again.there) == (0, 3)


@pytest.mark.parametrize(
    ("apply", "done", "told"),
    [
        ({"to": "folder", "target": "/x"}, CarriedOut(1, 0), "1 file copied into /x"),
        (
            {"to": "s3", "target": "s3://b/x"},
            CarriedOut(0, 3),
            "0 files copied into s3://b/x, 3 so already",
        ),
        ({"to": "tags"}, CarriedOut(2, 1), "2 files tagged at the platform, 1 so already"),
        (
            {"to": "platform_folders", "target": "poles"},
            CarriedOut(2, 0, ("a.jpg: is not at the platform",)),
            "2 files put into folders of the platform below poles, 1 failed, the first: a.jpg: is not at the platform",
        ),
        (
            {"to": "platform"},
            CarriedOut(4, 0),
            "4 files put into folders by the platform's own agent",
        ),
    ],
)
def test_what_was_done_with_a_plan_is_one_line(
    apply: dict[str, Any], done: CarriedOut, told: str
) -> None:
    assert done.told(ApplyConfig(**apply, confirm=True)) == told


@pytest.mark.parametrize("blocked", ["poles", "poles/pole.jpg/x"])
def test_a_target_that_cannot_be_written_is_an_error_that_names_the_file(
    tmp_path: Path, blocked: str
) -> None:
    target = tmp_path / blocked
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.name == "x":
        target.parent.rmdir()
        target.parent.write_bytes(b"a file")
        where = target
    else:
        target.write_bytes(b"a file")
        where = tmp_path
    with pytest.raises(TargetError, match=r"^a/pole\.jpg cannot be copied to .*pole\.jpg: \w+"):
        copied([placed("a/pole.jpg", "11111111x")], where, lambda _kind, _key: b"one")


def test_copies_never_go_where_files_are_taken_in(tmp_path: Path) -> None:
    check_target(str(tmp_path / "sorted"), [tmp_path / "inbox"])
    for target in (tmp_path / "inbox" / "sorted", tmp_path, tmp_path / "inbox"):
        with pytest.raises(ConfigError, match="lie in each other"):
            check_target(str(target), [tmp_path / "inbox"])


def test_texts_from_outside_are_nothing_but_text_in_a_report() -> None:
    hostile = "<script>x</script> [a](javascript:x) | `b`\n# c"
    sentence = Sentence(hostile, hostile, (Source("image", "i"),))
    result = StepResult(agent="chat", made_by="extractive", summary=hostile, sentences=(sentence,))
    told = markdown(result, hostile)
    assert "<script>" not in told
    assert not re.search(r"(?<!\\)\]\(", told)
    assert "\n# c" not in told


def test_the_platform_s_markdown_is_made_harmless() -> None:
    text = "# Good\n<img src=x> ![p](https://x/p.png) [a](javascript:x) [b]( DATA:x) [c](https://x)"
    told = markdown(StepResult(agent="chat", made_by="aionvision", text=text), "x")
    assert "# Good" in told
    assert "[c](https://x)" in told
    for bad in ("<img", "![p", "](javascript", "](data"):
        assert bad not in told.lower()


def test_results_come_back_as_they_were_kept(store: Store) -> None:
    kept: Any = results(store, ALL.cross_reference("poles").synthesize("poles"))
    for result in kept.values():
        assert StepResult.from_tables(result.tables(), result.info()) == result


def test_a_plan_is_carried_out_in_a_bucket_too(bucket: str) -> None:
    target = place_of(f"s3://{bucket}/sorted")
    plan = [placed("a/pole.jpg", "11111111x"), placed("b/pole.jpg", "22222222x", "trees")]
    done = copied(plan, target, lambda _kind, key: key.encode())
    assert (done.done, done.failures) == (2, ())
    assert (target / "poles" / "pole.jpg").read_bytes() == b"11111111x"
    assert (target / "trees" / "pole.jpg").read_bytes() == b"22222222x"
    assert copied(plan, target, lambda _kind, key: key.encode()).there == 2
