"""Executes a batch of a library as a run launcher does: in a process of its own, with the library's definitions.

usage: launched_run.py CONFIGURATION.yaml BATCH RUN_ID
"""

from __future__ import annotations

import sys
from pathlib import Path

from aion_dagster.config import LibraryConfig, read_config_file
from aion_dagster.definitions import BATCH_JOB, build_definitions
from aion_dagster.resources.instance import embedded_instance

if __name__ == "__main__":
    file, batch, run_id = sys.argv[1:]
    config = LibraryConfig.parse(read_config_file(Path(file)))
    job = build_definitions(config, quiet=True).resolve_job_def(BATCH_JOB)
    with embedded_instance(config.store) as instance:
        result = job.execute_in_process(
            instance=instance, partition_key=batch, run_id=run_id, raise_on_error=False
        )
    sys.exit(0 if result.success else 1)
