"""Executes a batch of a library as a run launcher does: in a process of its own, with the library's definitions.

usage: launched_run.py STORE BATCH RUN_ID
"""

from __future__ import annotations

import sys

from aion_dagster.config import LibraryConfig
from aion_dagster.definitions import BATCH_JOB, build_definitions
from aion_dagster.resources.instance import embedded_instance

if __name__ == "__main__":
    store, batch, run_id = sys.argv[1:]
    config = LibraryConfig.from_env({"AION_STORE": store})
    job = build_definitions(config, quiet=True).resolve_job_def(BATCH_JOB)
    with embedded_instance(config.store) as instance:
        result = job.execute_in_process(
            instance=instance, partition_key=batch, run_id=run_id, raise_on_error=False
        )
    sys.exit(0 if result.success else 1)
