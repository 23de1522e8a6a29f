"""The part of the ledger that knows batches that are no more, because they were merged into larger ones."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from aion_dagster.errors import StorageError
from aion_dagster.storage.ledger_database import chunks, now
from aion_dagster.storage.ledger_erasure import ErasureLedger
from aion_dagster.storage.ledger_files import alone, file_key
from aion_dagster.storage.ledger_records import BatchRecord
from aion_dagster.storage.ledger_tables import (
    BATCHES,
    BUILDS,
    FILES,
    OPERATIONS,
    RESULTS,
    RETIRED,
)


class MergedBuild(NamedTuple):
    """The build of an asset for a batch that others became."""

    asset: str
    fingerprint: str
    rows: int


class RetiredLedger(ErasureLedger):
    """Batches that were merged: their files, results and tables are those of another one."""

    def retired(self) -> dict[str, str]:
        """Batch that is no more → the batch that it was merged into, which may have been merged itself since."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(RETIRED.c.key, RETIRED.c.merged_into))
            return {row.key: row.merged_into for row in rows}

    def current_batches(self, source: str, uris: Collection[str]) -> dict[str, str | None]:
        """For known files of a source the batch of their current version; None where they are gone."""
        names = {file_key(source, uri): uri for uri in uris}
        found: dict[str, str | None] = {}
        query = sa.select(FILES.c.file_key, FILES.c.is_current, BATCHES.c.key).join(
            BATCHES, BATCHES.c.seq == FILES.c.batch_seq
        )
        with self._database.read() as connection:
            for some in chunks(names):
                for key, is_current, batch in connection.execute(
                    query.where(FILES.c.file_key.in_(some))
                ):
                    uri = names[bytes(key)]
                    found[uri] = batch if is_current else found.get(uri)
        return found

    def merge_batches(
        self,
        new: BatchRecord,
        old: Sequence[str],
        *,
        builds: Sequence[MergedBuild],
        files: Collection[tuple[str, str]],
        contents: Collection[str],
    ) -> None:
        """Have one batch take the place of others, in one transaction; its number is that of the last of them.

        Args:
            new: the batch.
            old: those that it consists of.
            builds: what its tables are made from.
            files: source and URI of all files.
            contents: SHA-256 of all contents.

        Raises:
            StorageError: one of them is not there, or kept out of the library; nothing is changed.
        """
        with self._database.write() as connection:
            alone(connection, {new.source})
            where = BATCHES.c.key.in_(old), BATCHES.c.blocked_reason.is_(None)
            rows = connection.execute(sa.select(BATCHES.c.seq, BATCHES.c.key).where(*where)).all()
            if len(rows) != len(set(old)):
                raise StorageError(f"Batches cannot be merged into {new.key!r}: some have changed.")
            last = max(row.seq for row in rows)
            others = [row.seq for row in rows if row.seq != last]
            connection.execute(
                BATCHES.update()
                .where(BATCHES.c.seq == last)
                .values(
                    key=new.key,
                    manifest_digest=new.manifest_digest,
                    file_count=new.file_count,
                    size_bytes=new.size_bytes,
                )
            )
            for keys in chunks(file_key(source, uri) for source, uri in files):
                these = FILES.c.file_key.in_(keys), FILES.c.batch_seq.in_(others)
                connection.execute(FILES.update().where(*these).values(batch_seq=last))
            connection.execute(BATCHES.delete().where(BATCHES.c.seq.in_(others)))
            _move_results(connection, old, new.key, contents)
            _replace_builds(connection, old, new.key, builds)
            moment = now()
            connection.execute(
                RETIRED.insert(),
                [{"key": k, "merged_into": new.key, "retired_at": moment} for k in old],
            )


def _move_results(
    connection: sa.Connection, old: Sequence[str], new: str, contents: Collection[str]
) -> None:
    # By operation and content, which is what there is an index of.
    for operation in connection.scalars(sa.select(OPERATIONS.c.id)).all():
        for some in chunks(contents):
            connection.execute(
                RESULTS.update()
                .where(
                    RESULTS.c.operation_id == operation,
                    RESULTS.c.sha256.in_(some),
                    RESULTS.c.batch.in_(old),
                )
                .values(batch=new)
            )


def _replace_builds(
    connection: sa.Connection, old: Sequence[str], new: str, builds: Sequence[MergedBuild]
) -> None:
    names = sa.select(BUILDS.c.asset).where(BUILDS.c.partition.in_(old)).distinct()
    for asset in connection.scalars(names).all():
        these = BUILDS.c.asset == asset, BUILDS.c.partition.in_(old)
        connection.execute(BUILDS.delete().where(*these))
    if builds:
        moment = now()
        connection.execute(
            BUILDS.insert(),
            [{**b._asdict(), "partition": new, "info": "{}", "built_at": moment} for b in builds],
        )
