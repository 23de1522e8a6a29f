"""Where results live: tables, manifests, table sets, ledger, locks."""

from aion_dagster.storage.ledger import Ledger
from aion_dagster.storage.ledger_records import BatchRecord, Build, CurrentVersion, OverlapError
from aion_dagster.storage.lock import StoreLock
from aion_dagster.storage.run_lock import RunLock
from aion_dagster.storage.staged import StagedTable, TableWriter, Written
from aion_dagster.storage.store import Store
from aion_dagster.storage.swap import staging_folder, swap_folder
from aion_dagster.storage.tables import TableStore

__all__ = [
    "BatchRecord",
    "Build",
    "CurrentVersion",
    "Ledger",
    "OverlapError",
    "RunLock",
    "StagedTable",
    "Store",
    "StoreLock",
    "TableStore",
    "TableWriter",
    "Written",
    "staging_folder",
    "swap_folder",
]
