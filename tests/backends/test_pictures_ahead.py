"""Pictures computed ahead of the run that takes them: two batches ahead, nothing twice, nothing left behind."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from small_library import draw_picture

from aion_dagster.assets.pictures import picture_tables
from aion_dagster.backends.pictures import PictureTables
from aion_dagster.backends.pictures_ahead import PicturesAhead
from aion_dagster.config import LibraryConfig
from aion_dagster.errors import StorageError
from aion_dagster.ingest import ingest
from aion_dagster.planning import PICTURE_TABLES, pass_settings
from aion_dagster.resources.sources import SourceReader, build_source
from aion_dagster.storage.store import Store


class Library:
    """A folder, a store, and the pass over its batches; notes what is begun, and waits before a batch where told to."""

    def __init__(self, place: Path) -> None:
        self.inbox = place / "inbox"
        self.inbox.mkdir()
        data = {"store": str(place / "store"), "sources": [str(self.inbox)]}
        self.config = LibraryConfig.parse(data)
        self.store = Store.open(place / "store")
        self.reader = SourceReader.from_config(self.config)
        self.begun: list[str] = []
        self.gates: dict[str, threading.Event] = {}
        self.after: dict[str, threading.Event] = {}
        self.fails: set[str] = set()

    def draw(self, *seeds: int) -> None:
        for seed in seeds:
            draw_picture(self.inbox / f"{seed:03}.jpg", seed, (96, 72))

    def ingest(self, batch_files: int) -> list[str]:
        (source,) = self.config.sources
        found = ingest(build_source(source, max_bytes=10**7), self.store, batch_files=batch_files)
        return list(found.batches)

    def compute(
        self,
        batch: str,
        *,
        go_on: Callable[[int], None],
        before_asking: Callable[[Collection[str]], None],
    ) -> PictureTables:
        self.begun.append(batch)
        if batch in self.gates:
            assert self.gates[batch].wait(60)
        go_on(0)
        if batch in self.fails:
            self.fails.remove(batch)
            raise StorageError(f"no place for {batch}")
        parts = frozenset(PICTURE_TABLES)
        result = picture_tables(
            self.config,
            self.store,
            self.reader.read,
            batch,
            parts,
            advance=go_on,
            before_asking=before_asking,
        )
        if batch in self.after:
            self.after[batch].set()
        return result

    def put_away(self, batch: str, result: PictureTables) -> None:
        """What the run does with the tables it has taken."""
        assert result.variants is not None
        result.variants.commit()
        for table in ("images", "color_analyses", "visual_features"):
            self.store.tables.write(table, getattr(result, table), batch=batch)
        settings = pass_settings(self.config)
        self.store.ledger.record_results(
            settings.operation(), settings.parameters(), batch, result.content_hashes()
        )

    def staged(self) -> list[Path]:
        """Files that are not in their place."""
        return [p for p in (self.store.root / "tables").rglob(".*") if p.is_file()]


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


@contextmanager
def ahead_of(library: Library, batches: list[str]) -> Iterator[PicturesAhead]:
    with PicturesAhead(library.compute) as ahead:
        ahead.expect(batches)
        yield ahead


def rows(result: PictureTables) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = result.images.to_pylist()
    return found


def test_no_more_than_two_batches_are_ahead(library: Library) -> None:
    library.draw(*range(6))
    batches = library.ingest(1)
    library.gates = {batch: threading.Event() for batch in batches[1:]}
    with ahead_of(library, batches) as ahead:
        library.put_away(batches[0], ahead.take(batches[0]))
        # The third may have begun now, and waits for the second one's turn to end; the fourth may not.
        library.gates[batches[1]].set()
        library.put_away(batches[1], ahead.take(batches[1]))
        assert batches[:2] == library.begun[:2]
        assert set(library.begun) <= set(batches[:3])
        for gate in library.gates.values():
            gate.set()
        library.put_away(batches[2], ahead.take(batches[2]))
        assert set(library.begun) <= set(batches[:5])
    assert library.staged() == []
    assert len(library.begun) == len(set(library.begun))


def test_the_next_batch_is_computed_while_nobody_takes_the_one_before(library: Library) -> None:
    library.draw(1, 2, 3)
    batches = library.ingest(1)
    done = threading.Event()
    library.after[batches[1]] = done
    with ahead_of(library, batches) as ahead:
        assert done.wait(60)
        assert library.begun == batches[:2]
        for batch in batches:
            library.put_away(batch, ahead.take(batch))
    assert library.begun == batches


def test_what_nobody_takes_is_not_left_behind(library: Library) -> None:
    library.draw(*range(8))
    batches = library.ingest(4)
    with ahead_of(library, batches) as ahead:
        library.put_away(batches[0], ahead.take(batches[0]))
    assert library.staged() == []
    assert library.store.tables.batches("variants") == batches[:1]


def test_an_error_while_a_batch_is_taken_leaves_nothing_of_the_next(library: Library) -> None:
    library.draw(*range(8))
    batches = library.ingest(4)
    with pytest.raises(RuntimeError, match="the run"), ahead_of(library, batches) as ahead:  # noqa: PT012 - the second line raises
        ahead.take(batches[0]).discard()
        raise RuntimeError("the run failed")
    assert library.staged() == []


def test_a_batch_that_is_taken_out_of_turn_is_computed_then(library: Library) -> None:
    library.draw(1, 2, 3)
    batches = library.ingest(1)
    with ahead_of(library, batches) as ahead:
        library.put_away(batches[2], ahead.take(batches[2]))
        assert library.staged() == []
        library.put_away(batches[0], ahead.take(batches[0]))
    assert library.store.tables.batches("variants") == sorted([batches[0], batches[2]])
    assert library.staged() == []


def test_an_error_of_the_pass_is_raised_by_the_one_who_takes_and_a_second_try_computes(
    library: Library,
) -> None:
    library.draw(1, 2)
    batches = library.ingest(1)
    library.fails.add(batches[0])
    with ahead_of(library, batches) as ahead:
        with pytest.raises(StorageError, match=f"no place for {batches[0]}"):
            ahead.take(batches[0])
        assert library.staged() == []
        again = ahead.take(batches[0])
        assert [r["status"] for r in rows(again)] == ["ok"]
        library.put_away(batches[0], again)
        library.put_away(batches[1], ahead.take(batches[1]))
    assert library.staged() == []


def test_a_picture_of_the_batch_before_is_decoded_once(library: Library) -> None:
    library.draw(1, 2)
    for name in ("a copy.jpg", "another.jpg"):
        shutil.copy(library.inbox / "001.jpg", library.inbox / f"x {name}")
    first, second = library.ingest(2)
    with ahead_of(library, [first, second]) as ahead:
        taken = ahead.take(first)
        library.put_away(first, taken)
        again = ahead.take(second)
        assert (taken.reused, again.reused) == (0, 2)
        assert {r["image_id"] for r in rows(again)} == {rows(taken)[0]["image_id"]}
        library.put_away(second, again)


def test_a_picture_of_a_batch_further_back_that_is_not_put_away_yet_is_decoded_once(
    library: Library,
) -> None:
    library.draw(1, 2, 3)
    shutil.copy(library.inbox / "001.jpg", library.inbox / "x.jpg")
    shutil.copy(library.inbox / "002.jpg", library.inbox / "y.jpg")
    shutil.copy(library.inbox / "001.jpg", library.inbox / "z.jpg")
    batches = library.ingest(2)
    reused = []
    with ahead_of(library, batches) as ahead:
        for batch in batches:
            taken = ahead.take(batch)
            reused.append(taken.reused)
            library.put_away(batch, taken)
    assert reused == [0, 1, 2]


def test_what_was_taken_and_never_put_away_holds_up_nobody(library: Library) -> None:
    library.draw(1, 2)
    shutil.copy(library.inbox / "001.jpg", library.inbox / "x.jpg")
    batches = library.ingest(1)
    with ahead_of(library, batches) as ahead:
        ahead.take(batches[0]).discard()
        library.put_away(batches[1], ahead.take(batches[1]))
        last = ahead.take(batches[2])
        assert last.reused == 0
        library.put_away(batches[2], last)


def test_a_broken_picture_is_a_row_and_the_others_are_there(library: Library) -> None:
    library.draw(1, 2)
    whole = (library.inbox / "001.jpg").read_bytes()
    (library.inbox / "000 broken.jpg").write_bytes(whole[: len(whole) // 2])
    (batch,) = library.ingest(10)
    with ahead_of(library, [batch]) as ahead:
        taken = ahead.take(batch)
        assert [r["status"] for r in rows(taken)] == ["unreadable", "ok", "ok"]
        library.put_away(batch, taken)
    assert library.store.tables.read("variants", batch=batch).num_rows == 2


def test_a_file_that_changes_before_its_batch_is_computed_says_so_and_comes_again(
    library: Library,
) -> None:
    library.draw(1, 2)
    first, second = library.ingest(1)
    library.gates[second] = threading.Event()
    with ahead_of(library, [first, second]) as ahead:
        library.put_away(first, ahead.take(first))
        draw_picture(library.inbox / "002.jpg", 99, (100, 80))
        library.gates[second].set()
        changed = ahead.take(second)
        (row,) = rows(changed)
        assert (row["status"], row["sha256"]) == ("unreadable", None)
        assert "002.jpg" in row["error"]
        library.put_away(second, changed)
        (third,) = library.ingest(1)
        (row,) = rows(ahead.take(third))
        assert (row["status"], row["width"]) == ("ok", 100)


def test_a_file_that_changes_after_its_batch_was_computed_stays_as_it_was_listed(
    library: Library,
) -> None:
    library.draw(1, 2)
    first, second = library.ingest(1)
    with ahead_of(library, [first, second]) as ahead:
        taken = ahead.take(first)
        draw_picture(library.inbox / "001.jpg", 99, (100, 80))
        (row,) = rows(taken)
        assert (row["status"], row["width"]) == ("ok", 96)
        library.put_away(first, taken)
        (third,) = library.ingest(1)
        (row,) = rows(ahead.take(third))
        assert (row["status"], row["width"]) == ("ok", 100)
