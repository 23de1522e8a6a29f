"""Two libraries in one store and one code location share nothing but the instance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import dagster as dg
import pytest
from watched_library import Watch, WatchedLibrary, configuration, draw

from aion_dagster.definitions import LIBRARY_JOB
from aion_dagster.planning import whole_assets


@pytest.fixture(scope="module")
def libraries(
    watch: Watch, tmp_path_factory: pytest.TempPathFactory
) -> tuple[WatchedLibrary, WatchedLibrary]:
    """Two libraries over the same folder of two pictures, both made in the merged definitions."""
    folder = tmp_path_factory.mktemp("two")
    draw(folder / "inbox", 1, 2)
    one = watch(configuration(folder / "store", folder / "inbox"))
    beach = configuration(folder / "store", folder / "inbox", name="beach", colors=8)
    two = WatchedLibrary(beach, one.instance)
    merged = dg.Definitions.merge(one.definitions, two.definitions)
    one.definitions = two.definitions = merged
    for library in (one, two):
        (run,) = library.accept(library.tick())
        assert run.success
        whole = whole_assets(library.config)
        assert library.materialize(LIBRARY_JOB, whole).success
    return one, two


def repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def test_no_name_is_used_twice(libraries: tuple[WatchedLibrary, WatchedLibrary]) -> None:
    configs = [library.config for library in libraries]
    apart = [WatchedLibrary(config, libraries[0].instance).definitions for config in configs]
    nodes = [list(defs.resolve_asset_graph().assets_defs) for defs in apart]
    every = {
        "keys": [[k.to_user_string() for a in each for k in a.keys] for each in nodes],
        "ops": [[a.node_def.name for a in each if a.is_executable] for each in nodes],
        "pools": [sorted({p for a in each for p in a.op.pools}) for each in nodes],
        "groups": [
            sorted({g for a in each for g in a.group_names_by_key.values()}) for each in nodes
        ],
        "partitions": [
            sorted({a.partitions_def.name for a in each if a.partitions_def}) for each in nodes
        ],
        "jobs": [[j.name for j in defs.jobs or ()] for defs in apart],
        "sensors": [[s.name for s in defs.sensors or ()] for defs in apart],
        "resources": [list(defs.resources or ()) for defs in apart],
    }
    for kind, (one, two) in every.items():
        assert one, kind
        assert repeated([*one, *two]) == [], kind
    assert len(every["partitions"][0]) == len(every["partitions"][1]) == 1


def test_neither_sees_the_other_s_partitions_tables_and_runs(
    libraries: tuple[WatchedLibrary, WatchedLibrary],
) -> None:
    one, two = libraries
    assert one.store.root != two.store.root
    assert one.batches() == two.batches()  # the same files make the same key in both
    assert set(one.executed).isdisjoint(two.executed)
    for library in libraries:
        assert library.partitions() == set(library.batches())
        assert library.materialized("annotations") == set(library.batches())
        assert library.store.tables.read("library").num_rows == 2
        assert not library.tick().run_requests
    for library, most in ((one, 16), (two, 8)):
        colors = library.store.tables.read("color_analyses")["dominant_colors"].to_pylist()
        assert most / 2 < max(map(len, colors)) <= most  # each as its own configuration says


def test_new_files_of_one_are_no_news_to_the_other(
    libraries: tuple[WatchedLibrary, WatchedLibrary], tmp_path_factory: pytest.TempPathFactory
) -> None:
    one, two = libraries
    more = tmp_path_factory.mktemp("more")
    draw(more, 3)
    sources = [
        *two.config.model_dump(mode="json")["sources"],
        {"path": str(more), "settle_seconds": 0},
    ]
    grown = two.configured(sources=sources)
    result = grown.tick()
    grown.store_partitions(result)
    assert len(result.run_requests) == 1
    assert len(grown.partitions()) == 2
    assert len(one.partitions()) == 1
    assert one.tick().run_requests == []
