"""`aion-dagster gc`: list what nothing in the store refers to any more, and remove it where asked to."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from datetime import timedelta

from aion_dagster.commands.saying import say
from aion_dagster.commands.settings import store_config
from aion_dagster.storage.garbage import Garbage, find_garbage, remove_garbage
from aion_dagster.storage.store import Store
from aion_dagster.wording import plural

_SHOWN = 20


def gc(args: Namespace) -> int:
    """List it; with `--yes` remove it, while nobody else works on the store."""
    config = store_config(args)
    grace = timedelta(hours=args.older_than)
    with Store.open(config.store, library=config.name, create=args.yes) as store:
        if not args.yes:
            found = find_garbage(store, grace=grace, keep_versions=args.keep_versions)
            _tell(found, args, done=False)
            return 0
        with store.lock(wait=not args.no_wait, on_wait=say, what="aion-dagster gc"):
            found = find_garbage(store, grace=grace, keep_versions=args.keep_versions)
            remove_garbage(store, found)
        _tell(found, args, done=True)
    return 0


def _tell(found: Sequence[Garbage], args: Namespace, *, done: bool) -> None:
    files, size = sum(g.files for g in found), sum(g.size_bytes for g in found)
    if args.json:
        rows = [
            {"kind": g.kind, "place": str(g.place), "files": g.files, "bytes": g.size_bytes}
            for g in found
        ]
        print(json.dumps({"done": done, "files": files, "bytes": size, "garbage": rows}))
        return
    for kind in dict.fromkeys(g.kind for g in found):
        these = [g for g in found if g.kind == kind]
        count, bytes_of = sum(g.files for g in these), sum(g.size_bytes for g in these)
        print(f"{kind}: {plural(len(these), 'place')}, {plural(count, 'file')}, {bytes_of} bytes")
        for each in these[:_SHOWN]:
            print(f"  {each.place}  {each.written_at:%Y-%m-%d %H:%M} UTC  {each.size_bytes} bytes")
        if len(these) > _SHOWN:
            print(f"  … and {len(these) - _SHOWN} more; --json lists all")
    total = f"{plural(files, 'file')}, {size} bytes"
    if not found:
        last = "Everything in the store is referred to, or too young."
    elif done:
        last = f"Removed {total}."
    else:
        last = f"{total}; nothing was removed: add --yes to remove it."
    print(last)
