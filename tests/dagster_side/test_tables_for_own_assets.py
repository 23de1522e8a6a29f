"""A team's own assets beside the library's: they get the rows they ask for, and write tables of their own."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest
from watched_library import Watch, WatchedLibrary, configuration, draw

from aion_dagster.definitions import BATCH_JOB, LIBRARY_JOB
from aion_dagster.planning import partitioned_assets

BATCHES = dg.DynamicPartitionsDefinition(name="batches")
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


@pytest.fixture(scope="module")
def library(watch: Watch, tmp_path_factory: pytest.TempPathFactory) -> WatchedLibrary:
    """Three batches with two, two and one pictures, made by one run over the range of them."""
    folder = tmp_path_factory.mktemp("own")
    draw(folder / "inbox", 1, 2, 3, 4, 5)
    library = watch(configuration(folder / "store", folder / "inbox", batch_files=2))
    library.store_partitions(library.tick())
    result = over(library, library.partitions_in_order(), partitioned_assets(library.config))
    assert result.success
    return library


def over(
    library: WatchedLibrary, batches: list[str], assets: Any, **more: Any
) -> dg.ExecuteInProcessResult:
    """One run of the library's own assets over a range of batches."""
    tags = dict(zip(RANGE, (batches[0], batches[-1]), strict=True))
    return library.materialize(BATCH_JOB, assets, tags=tags, **more)


def own(
    library: WatchedLibrary,
    *assets: dg.AssetsDefinition,
    beside: tuple[dg.AssetsDefinition, ...] = (),
    **run: Any,
) -> Any:
    """Materialize assets of one's own in the code location of the library, `beside` others that are there too."""
    location = dg.Definitions(assets=[*assets, *beside])
    together = dg.Definitions.merge(library.definitions, location)
    selection = [key for asset in assets for key in asset.keys]
    result = together.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=library.instance, asset_selection=selection, raise_on_error=False, **run
    )
    failures = [e.step_failure_data for e in result.all_events if e.is_step_failure]
    if failures:
        failed = failures[0]
        raise RuntimeError(
            failed.user_failure_data.description
            if failed.user_failure_data and failed.user_failure_data.description
            else failed.error.to_string()
        )
    return result


def test_a_run_over_a_range_splits_rows_and_metadata_by_batch(library: WatchedLibrary) -> None:
    sizes = []
    for batch in library.partitions_in_order():
        files = library.store.manifests.read(batch)
        rows = library.store.tables.read("images", batch=batch)
        assert rows["uri"].to_pylist() == [f.uri for f in files]
        for asset in ("images", "color_analyses", "annotations", "descriptions"):
            (event,) = library.instance.fetch_materializations(
                dg.AssetRecordsFilter(library.names.key(asset), asset_partitions=[batch]), limit=5
            ).records
            metadata = event.asset_materialization.metadata
            stored = library.store.tables.read(asset, batch=batch).num_rows
            assert metadata["dagster/row_count"].value == stored
            place = library.store.tables.path(asset, batch)
            assert metadata["dagster/uri"].value == place.as_uri()
        sizes.append(rows.num_rows)
    assert sorted(sizes) == [1, 2, 2]


def test_a_partitioned_asset_gets_its_own_rows_as_annotated(library: WatchedLibrary) -> None:
    seen: dict[str, Any] = {}

    @dg.asset(partitions_def=BATCHES)
    def arrow(images: pa.Table) -> None:
        seen["arrow"] = images

    @dg.asset(partitions_def=BATCHES)
    def frame(images: pd.DataFrame) -> None:
        seen["frame"] = images

    @dg.asset(partitions_def=BATCHES)
    def lazy(images: ds.Dataset) -> None:
        seen["lazy"] = images

    batch = library.partitions_in_order()[1]
    own(library, arrow, frame, lazy, partition_key=batch)
    expected = library.store.tables.read("images", batch=batch)
    assert seen["arrow"].equals(expected)
    assert seen["frame"]["uri"].tolist() == expected["uri"].to_pylist()
    assert isinstance(seen["lazy"], ds.Dataset)
    assert seen["lazy"].to_table(columns=["uri"]).column(0).to_pylist() == list(
        seen["frame"]["uri"]
    )
    assert set(seen["lazy"].to_table()["batch"].to_pylist()) == {batch}


def test_an_asset_over_all_batches_gets_all_rows_with_their_batch(library: WatchedLibrary) -> None:
    seen: dict[str, Any] = {}

    @dg.asset
    def arrow(images: pa.Table) -> None:
        seen["arrow"] = images

    @dg.asset
    def frame(images: pd.DataFrame) -> None:
        seen["frame"] = images

    @dg.asset
    def lazy(images: ds.Dataset) -> None:
        seen["lazy"] = images

    @dg.asset
    def unannotated(images):
        seen["unannotated"] = images
        return 1

    own(library, arrow, frame, lazy, unannotated)
    assert seen["arrow"].num_rows == len(seen["frame"]) == seen["lazy"].count_rows() == 5
    assert seen["unannotated"].equals(seen["arrow"])
    assert set(seen["arrow"]["batch"].to_pylist()) == set(library.partitions_in_order())


def test_own_tables_are_written_with_whatever_columns_and_read_by_others(
    library: WatchedLibrary,
) -> None:
    seen: dict[str, Any] = {}

    @dg.asset(partitions_def=BATCHES, io_manager_key="tables", key=["team", "brightness"])
    def brightness(color_analyses: pd.DataFrame) -> pd.DataFrame:
        return color_analyses[["image_id", "brightness"]].assign(bright=lambda f: f.brightness > 50)

    @dg.asset(io_manager_key="tables", ins={"rows": dg.AssetIn(["team", "brightness"])})
    def averages(rows: ds.Dataset) -> pa.Table:
        table = rows.to_table()
        return table.group_by("batch").aggregate([("brightness", "mean")])

    @dg.asset(io_manager_key="tables")
    def streamed(images: ds.Dataset) -> pa.RecordBatchReader:
        return images.scanner(columns=["uri", "width"]).to_reader()

    @dg.asset
    def reader(averages: pd.DataFrame) -> None:
        seen["averages"] = averages

    for batch in library.partitions_in_order():
        result = own(library, brightness, partition_key=batch)
        (event,) = result.get_asset_materialization_events()
        metadata = event.materialization.metadata
        schema = metadata["dagster/column_schema"].value
        assert [c.name for c in schema.columns] == ["image_id", "brightness", "bright"]
        assert metadata["dagster/row_count"].value in (1, 2)
    own(library, averages, streamed, reader, beside=(brightness,))
    stored = library.store.tables
    assert stored.batches("team/brightness") == sorted(library.partitions_in_order())
    assert "batch" not in stored.schema("team/brightness").names
    assert stored.read("averages").num_rows == 3
    assert set(seen["averages"]["batch"]) == set(library.partitions_in_order())
    assert stored.read("streamed").column_names == ["uri", "width"]
    assert stored.read("streamed").num_rows == 5


def test_an_own_asset_in_a_run_over_a_range_gets_the_batch_column_to_split_by(
    library: WatchedLibrary,
) -> None:
    seen: dict[str, Any] = {}

    @dg.asset(
        partitions_def=BATCHES,
        io_manager_key="tables",
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def widths(images: pa.Table) -> pa.Table:
        seen["images"] = images
        return images.select([c for c in ("uri", "width", "batch") if c in images.column_names])

    first, second, third = library.partitions_in_order()
    own(library, widths, tags=dict(zip(RANGE, (first, second), strict=True)))
    assert set(seen["images"]["batch"].to_pylist()) == {first, second}
    own(library, widths, partition_key=third)
    stored = library.store.tables
    for batch in (first, second, third):
        expected = stored.read("images", batch=batch, columns=["uri", "width"])
        assert stored.read("widths", batch=batch).equals(expected)


def test_what_cannot_be_written_is_refused_with_the_way_out(library: WatchedLibrary) -> None:
    @dg.asset(io_manager_key="tables")
    def number() -> int:
        return 7

    @dg.asset(partitions_def=BATCHES, io_manager_key="tables")
    def without_batch(images: pa.Table) -> pa.Table:
        return images.select(["uri"])

    @dg.asset(partitions_def=BATCHES, io_manager_key="tables")
    def of_others(images: pa.Table) -> pa.Table:
        return pa.table({"batch": ["another-batch"]})

    first, second, _ = library.partitions_in_order()
    with pytest.raises(RuntimeError, match="number returned int; a table is returned as"):
        own(library, number)
    with pytest.raises(RuntimeError, match=r"without_batch: .* column 'batch'"):
        own(library, without_batch, tags=dict(zip(RANGE, (first, second), strict=True)))
    with pytest.raises(RuntimeError, match="rows of batch another-batch"):
        own(library, of_others, partition_key=first)
    assert library.store.tables.batches("of_others") == []


def test_a_table_that_is_missing_for_some_batch_is_named(library: WatchedLibrary) -> None:
    @dg.asset(partitions_def=BATCHES, io_manager_key="tables")
    def partial(images: pa.Table) -> pa.Table:
        return images.select(["uri"])

    @dg.asset(partitions_def=BATCHES)
    def follower(partial: pa.Table) -> None: ...

    first, second, _ = library.partitions_in_order()
    own(library, partial, partition_key=first)
    with pytest.raises(RuntimeError, match=f"'partial' of batch {second} .* materialize it first"):
        own(
            library,
            follower,
            beside=(partial,),
            tags=dict(zip(RANGE, (first, second), strict=True)),
        )


@pytest.fixture
def blocked(library: WatchedLibrary) -> Iterator[str]:
    """A batch whose blocking check failed."""
    batch = library.partitions_in_order()[0]
    library.store.ledger.mark_blocked(batch, "2 files, but 1 rows")
    yield batch
    library.store.ledger.mark_blocked(batch, None)


def test_a_batch_whose_blocking_check_failed_stays_out_of_what_is_made_of_all(
    library: WatchedLibrary, blocked: str
) -> None:
    seen: dict[str, Any] = {}

    @dg.asset
    def everything(images: ds.Dataset) -> None:
        seen["everything"] = images.to_table()

    @dg.asset(partitions_def=BATCHES)
    def itself(images: ds.Dataset) -> None:
        seen["itself"] = images.to_table()

    own(library, everything)
    own(library, itself, partition_key=blocked)
    assert blocked not in seen["everything"]["batch"].to_pylist()
    assert seen["itself"].num_rows == library.store.tables.read("images", batch=blocked).num_rows

    result = library.materialize(LIBRARY_JOB, ["library"])
    (event,) = result.get_asset_materialization_events()
    assert event.materialization.metadata["batches_left_out"].value == 1
    rows = library.store.tables.read("library")
    left = library.store.tables.read("images", batch=blocked)
    assert not pc.any(pc.is_in(rows["image_id"], left["image_id"].combine_chunks())).as_py()
    assert rows.num_rows == 5 - left.num_rows
