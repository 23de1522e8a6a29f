"""Batches of a large library that are done are not looked at in every tick, and yet nothing that changes is missed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from watched_library import Watch, WatchedLibrary, configuration, draw

from aion_dagster.planning import partitioned_assets
from aion_dagster.sensors.work import Work
from aion_dagster.storage.ledger_tables import BUILDS

LONG_AGO = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture
def library(
    watch: Watch, inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> WatchedLibrary:
    """One of three batches, all of them done long ago and known to be done; three are many here."""
    monkeypatch.setattr("aion_dagster.sensors.settled.FEW", 1)
    library = watch(configuration(tmp_path / "store", inbox, batch_files=1))
    runs = library.accept(library.tick())
    assert len(runs) == 3
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'store' / 'ledger.sqlite'}")
    with engine.begin() as connection:
        connection.execute(BUILDS.update().values(built_at=LONG_AGO.replace(tzinfo=UTC)))
    engine.dispose()
    for _ in range(2):
        assert stale(library) == {}
    return library


def stale(library: WatchedLibrary) -> dict[str, set[str]]:
    """Batch → assets that a tick finds to be left to do."""
    library.tick()
    work = Work(library.config, library.store, library.instance)
    return {batch: set(assets) for batch, assets in work.plan.batches.items()}


def forget(library: WatchedLibrary, batch: str) -> None:
    library.store.ledger.forget_build("descriptions", batch)


def record_anew(library: WatchedLibrary, batch: str) -> None:
    library.store.ledger.record_build("descriptions", batch, "0" * 64, 1, {})


def block(library: WatchedLibrary, batch: str) -> None:
    library.store.ledger.mark_blocked(batch, "a test")


@pytest.mark.parametrize("change", [forget, record_anew, block])
def test_what_happens_to_a_batch_is_seen_in_the_next_tick(
    library: WatchedLibrary, change: Callable[[WatchedLibrary, str], None]
) -> None:
    batch = sorted(library.batches())[1]
    change(library, batch)
    assert list(stale(library)) == [batch]
    assert list(stale(library)) == [batch]


def test_new_files_and_other_settings_are_seen_in_the_next_tick(
    library: WatchedLibrary, inbox: Path
) -> None:
    before = set(library.batches())
    draw(inbox, 9)
    (fresh,) = stale(library).items()
    assert fresh[0] not in before
    assert fresh[1] == set(partitioned_assets(library.config))
    assert stale(library.configured(colors=5)).keys() == before | {fresh[0]}
    assert stale(library).keys() == {fresh[0]}


def test_a_table_that_somebody_deletes_is_missed_for_a_while_only(
    library: WatchedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = sorted(library.batches())[0]
    library.store.tables.delete("visual_features", batch)
    assert stale(library) == {}
    monkeypatch.setattr("aion_dagster.sensors.settled.BELIEVED_SECONDS", 0.0)
    assert stale(library) == {batch: {"visual_features"}}
