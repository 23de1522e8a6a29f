"""The part of the ledger that remembers results of operations and builds of assets."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from aion_dagster.storage.ledger_database import IN_LIST, Database, chunks, now
from aion_dagster.storage.ledger_records import Build
from aion_dagster.storage.ledger_tables import BUILDS, OPERATIONS, RESULTS


class ResultLedger:
    """Which results exist, by content and parameters; and the latest build of every asset."""

    def __init__(self, database: Database) -> None:
        """Keep the records in `database`."""
        self._database = database

    def record_results(
        self, operation: str, parameters: str, batch: str, sha256s: Collection[str]
    ) -> None:
        """Say that the tables of `batch` hold the result of an operation for these contents."""
        if not sha256s:
            return
        with self._database.write() as connection:
            insert = insert_for(connection)
            connection.execute(
                insert(OPERATIONS)
                .values(operation=operation, parameters=parameters)
                .on_conflict_do_nothing()
            )
            number = connection.scalar(_operation_id(operation, parameters))
            statement = insert(RESULTS)
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["operation_id", "sha256"],
                    set_={"batch": statement.excluded.batch},
                ),
                [{"operation_id": number, "sha256": s, "batch": batch} for s in sorted(sha256s)],
            )

    def find_results(
        self, operation: str, parameters: str, sha256s: Collection[str]
    ) -> dict[str, str]:
        """For which of these contents a result exists: SHA-256 → batch that holds it."""
        found: dict[str, str] = {}
        with self._database.read() as connection:
            number = connection.scalar(_operation_id(operation, parameters))
            for chunk in chunks(sha256s if number is not None else ()):
                query = sa.select(RESULTS.c.sha256, RESULTS.c.batch).where(
                    RESULTS.c.operation_id == number, RESULTS.c.sha256.in_(chunk)
                )
                found.update({row.sha256: row.batch for row in connection.execute(query)})
        return found

    def record_build(
        self, asset: str, partition: str, fingerprint: str, rows: int, info: Mapping[str, Any]
    ) -> None:
        """Remember the latest build of an asset (and partition); `info` is anything that JSON can hold."""
        values = {
            "fingerprint": fingerprint,
            "rows": rows,
            "info": orjson.dumps(dict(info)).decode(),
            "built_at": now(),
        }
        with self._database.write() as connection:
            connection.execute(
                insert_for(connection)(BUILDS)
                .values(asset=asset, partition=partition, **values)
                .on_conflict_do_update(index_elements=["asset", "partition"], set_=values)
            )

    def forget_build(self, asset: str, partition: str = "") -> None:
        """Have an asset (and partition) built anew by the next plan; its table stays until then."""
        this = (BUILDS.c.asset == asset) & (BUILDS.c.partition == partition)
        with self._database.write() as connection:
            connection.execute(BUILDS.delete().where(this))

    def build(self, asset: str, partition: str = "") -> Build | None:
        """The latest build of an asset (and partition); None where there was none."""
        query = sa.select(BUILDS).where(BUILDS.c.asset == asset, BUILDS.c.partition == partition)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _build(row)

    def builds(self, asset: str) -> dict[str, Build]:
        """The latest build of every partition of an asset."""
        query = sa.select(BUILDS).where(BUILDS.c.asset == asset).order_by(BUILDS.c.partition)
        with self._database.read() as connection:
            return {row.partition: _build(row) for row in connection.execute(query)}

    def fingerprints(self, asset: str, partitions: Collection[str] | None = None) -> dict[str, str]:
        """What the latest build of every partition of an asset was made from; a tenth of the time of `builds`.

        With `partitions`, of those at least: of many more are read than were asked for.
        """
        query = sa.select(BUILDS.c.partition, BUILDS.c.fingerprint).where(BUILDS.c.asset == asset)
        if partitions is not None and len(partitions) <= IN_LIST:
            query = query.where(BUILDS.c.partition.in_(list(partitions)))
        with self._database.read() as connection:
            # All at once, and by place: row by row and by name takes four times as long.
            return {partition: made for partition, made in connection.execute(query).all()}  # noqa: C416 - mypy takes no row for a pair

    def builds_since(self, moment: datetime | None) -> tuple[int, set[str]]:
        """How many builds there are, and the partitions of those that were recorded since a moment (None: of none)."""
        count = sa.select(sa.func.count()).select_from(BUILDS)
        with self._database.read() as connection:
            changed: set[str] = set()
            if moment is not None:
                query = sa.select(BUILDS.c.partition).where(BUILDS.c.built_at >= moment).distinct()
                changed = set(connection.scalars(query))
            return connection.scalar(count) or 0, changed

    def empty_builds(self, asset: str) -> set[str]:
        """Partitions of an asset that came to no rows."""
        query = sa.select(BUILDS.c.partition).where(BUILDS.c.asset == asset, BUILDS.c.rows == 0)
        with self._database.read() as connection:
            return set(connection.scalars(query))

    def builds_noting(self, name: str) -> set[tuple[str, str]]:
        """Assets and partitions whose build has something under this name in its `info`."""
        query = sa.select(BUILDS.c.asset, BUILDS.c.partition, BUILDS.c.info)
        query = query.where(BUILDS.c.info.contains(f'"{name}":', autoescape=True))
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return {(r.asset, r.partition) for r in rows if orjson.loads(r.info).get(name)}

    def noted(self, asset: str, name: str) -> dict[str, Any]:
        """What the builds of an asset have under this name in their `info`, by partition; those without it are left out."""
        query = sa.select(BUILDS.c.partition, BUILDS.c.info).where(BUILDS.c.asset == asset)
        query = query.where(BUILDS.c.info.contains(f'"{name}":', autoescape=True))
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        found = {partition: orjson.loads(info).get(name) for partition, info in rows}
        return {partition: value for partition, value in found.items() if value is not None}


def _operation_id(operation: str, parameters: str) -> sa.Select[tuple[int]]:
    return sa.select(OPERATIONS.c.id).where(
        OPERATIONS.c.operation == operation, OPERATIONS.c.parameters == parameters
    )


def _build(row: sa.Row[Any]) -> Build:
    return Build(**(dict(row._mapping) | {"info": orjson.loads(row.info)}))


def insert_for(connection: sa.Connection) -> Any:
    """The dialect's INSERT, which knows ON CONFLICT."""
    return postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
