"""Has the platform carry out the plan that the pipeline "order" left, and waits there to be killed.

usage: killed_organize.py STORE URL
"""

from __future__ import annotations

import sys

from remote_library import remote_agents

from aion_dagster.pipelines.carrying_out import organized
from aion_dagster.pipelines.kept import read_result
from aion_dagster.storage.store import Store

if __name__ == "__main__":
    with Store.open(sys.argv[1]) as store:
        plan = read_result(store, "order", "organize").plan
        organized(plan, "Sort", remote_agents(store, sys.argv[2]), "")
