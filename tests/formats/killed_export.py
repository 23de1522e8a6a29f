"""A process that exports one of two versions into a store, to be killed: killed_export.py PICTURES EXPORTS FORMAT NUMBER.

Prints a line when it begins to write and one when it begins to swap, so that the killer can wait for either.
"""

from __future__ import annotations

import sys
from pathlib import Path

from aion_dagster.formats.export import write_export
from aion_dagster.storage.exports import ExportStore
from formats.versions_of_an_export import builder_of


def main() -> None:
    folder, root, name, number = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    builder = builder_of(folder, number)
    store = ExportStore(root)
    previous = store.place("pets", name)
    staging = store.staging("pets", name)
    print("writing", flush=True)
    write_export(
        name,
        builder.dataset(),
        staging,
        builder.pictures(),
        previous=previous if isinstance(previous, Path) else None,
    )
    print("swapping", flush=True)
    store.publish(staging, "pets", name)
    print("done", flush=True)


if __name__ == "__main__":
    main()
