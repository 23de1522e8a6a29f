"""The part of the ledger that knows batches that are no more, because they were merged into larger ones."""

from __future__ import annotations

import sqlalchemy as sa

from aion_dagster.storage.ledger_erasure import ErasureLedger
from aion_dagster.storage.ledger_tables import RETIRED


class RetiredLedger(ErasureLedger):
    """Batches that were merged: their files, results and tables are those of another one."""

    def retired(self) -> dict[str, str]:
        """Batch that is no more → the batch that it was merged into, which may have been merged itself since."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(RETIRED.c.key, RETIRED.c.merged_into))
            return {row.key: row.merged_into for row in rows}
