"""`aion-dagster forget`: erase pictures and documents everywhere, and keep them from coming back."""

from __future__ import annotations

import dataclasses
import json
import shlex
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from aion_dagster.commands.run import run_on
from aion_dagster.commands.saying import say
from aion_dagster.commands.settings import store_config
from aion_dagster.config import LibraryConfig
from aion_dagster.erasure import copies, erase, pending
from aion_dagster.erasure_planning import Erasure, RemoteObject, is_forgotten, plan_erasure
from aion_dagster.errors import ConfigError
from aion_dagster.resources.access import open_store
from aion_dagster.resources.instance import INSTANCE_FOLDER
from aion_dagster.storage.exports_elsewhere import exports_elsewhere
from aion_dagster.storage.places import local_folder, place_of
from aion_dagster.storage.store import Store
from aion_dagster.wording import plural

_KINDS: Final = ("file", "document")
_HISTORY: Final = ("history", "schedules", "storage")
"""Folders of an embedded instance; the next command makes new ones, and reports in them what the store has."""


def forget(args: Namespace) -> int:
    """Say what would be erased; with `--yes` erase it, and make what was made of it anew."""
    config = store_config(args)
    if not args.yes:
        with Store.open(config.store, library=config.name, create=False) as store:
            erasures = [*pending(store), *_planned(store, args.what)]
            _tell(config, [_facts(config, store, e) for e in erasures], args, done=False)
        return 0
    store = open_store(config.store, config.name)
    with store.lock(wait=not args.no_wait, on_wait=say, what="aion-dagster forget"):
        store.sweep()
        # Those that an earlier call began come first: what is planned now may lie in the same files.
        told = [_carry_out(config, store, erasure, args.remote) for erasure in pending(store)]
        erasures = _planned(store, args.what)
        told += [_carry_out(config, store, erasure, args.remote) for erasure in erasures]
        _tell(config, told, args, done=True)
    if told and not args.no_rebuild:
        args.jobs, args.dataset, args.json = 1, None, False
        return run_on(args, config, take_in=False, whole_only=True)
    return 0


def _planned(store: Store, whats: Sequence[str]) -> list[Erasure]:
    """What each argument stands for.

    Raises:
        ConfigError: nothing is known of one, so that nothing is erased.
    """
    found = []
    for what in whats:
        erasure = plan_erasure(store, what)
        if erasure is not None:
            found.append(erasure)
        elif is_forgotten(store, what):
            say(f"{what} was erased before.")
        else:
            raise ConfigError(
                f"nothing is known of {what!r} in {store.root}; give the SHA-256 of a file's bytes, the id of a"
                " picture or document, the URI of a file as the tables have it, or its path"
            )
    return found


def _carry_out(
    config: LibraryConfig, store: Store, erasure: Erasure, remote: str
) -> dict[str, Any]:
    """Erase it, at the platform first: whoever knows the ids is about to be erased; what to tell."""
    facts = _facts(config, store, erasure)
    chosen = _chosen(erasure.remote, remote)
    if chosen:
        from aion_dagster.backends.aionvision import AionvisionBackend
        from aion_dagster.backends.aionvision_removal import delete_remote

        ids = {kind: [r.remote_id for r in chosen if r.kind == kind] for kind in _KINDS}
        delete_remote(AionvisionBackend(config.aionvision), ids["file"], ids["document"])
    erase(config, store, erasure)
    return facts


def _chosen(remote: Sequence[RemoteObject], which: str) -> list[RemoteObject]:
    if which == "keep":
        return []
    return [r for r in remote if which == "all" or not r.was_there]


def _tell(
    config: LibraryConfig, told: Sequence[dict[str, Any]], args: Namespace, *, done: bool
) -> None:
    if args.json:
        print(json.dumps({"done": done, "forgotten": told}))
        return
    for facts in told:
        print("\n".join(_lines(facts, args.remote, done=done)))
    if not told:
        print("Nothing is to be erased.")
        return
    if not done:
        print("Nothing was erased: add --yes to erase it.")
    print("What stays:")
    for place in sorted({place for facts in told for place in facts["stays"]}):
        print(f"  an export that was put at {place}: delete it, or export it again")
    print("  your files, and copies of exports that were not made by this store")
    print(_history(config))


def _history(config: LibraryConfig) -> str:
    """What is left to Dagster's own commands: it never changes a history, it only ends it."""
    home = local_folder(place_of(config.store)) / INSTANCE_FOLDER
    folders = " ".join(shlex.quote(str(home / f)) for f in _HISTORY if (home / f).is_dir())
    how = f"rm -r {folders}" if folders else "see docs/runbook.md, 'Forget'"
    return (
        "Dagster's history of runs still holds small previews, and names of files. To delete it, while no command works"
        f" on the store:\n  {how}"
    )


def _facts(config: LibraryConfig, store: Store, erasure: Erasure) -> dict[str, Any]:
    """An erasure as JSON, by its counts; names only in what is asked for."""
    found = erasure.found
    return {
        "contents": sorted(erasure.target.sha256s),
        "files": sorted({f.uri for f in erasure.target.files}),
        "tables": dict(sorted(Counter(t for t, _ in found.tables).items())),
        "manifests": len(found.manifests),
        "sets": [f"{name} {version}" for name, version in sorted(found.sets)],
        "exports": [f"{dataset}/{name}" for dataset, name in sorted(found.exports)],
        "results": [f"{name} {version}" for name, version in sorted(found.derived)],
        "reports": sorted(found.reports),
        "kept originals": len(found.originals),
        "copies": [str(place) for place in copies(config, found)],
        "stays": _stays(config, store, erasure),
        "remote": [dataclasses.asdict(r) for r in erasure.remote],
    }


def _stays(config: LibraryConfig, store: Store, erasure: Erasure) -> list[str]:
    """Exports outside of the store that hold it, or may: other versions of these datasets, which cannot be asked any more."""
    found = erasure.found
    removed = {str(place) for place in copies(config, found)}
    return [
        each.place
        for each in exports_elsewhere(store)
        if each.place not in removed
        and (
            (f"dataset/{each.dataset}", each.version) in found.sets
            or each.version not in store.sets.versions(f"dataset/{each.dataset}")
        )
    ]


def _lines(facts: dict[str, Any], which: str, *, done: bool) -> list[str]:
    lines = [f"{'Erased' if done else 'To be erased'}: {plural(len(facts['contents']), 'content')}"]
    lines += [f"  content {sha}" for sha in facts["contents"]]
    lines += [f"  file {uri}" for uri in facts["files"]]
    lines += [f"  table {t}: {plural(n, 'file')} written anew" for t, n in facts["tables"].items()]
    for word in ("manifest", "kept original"):
        lines += [f"  {plural(facts[f'{word}s'], word)}"] if facts[f"{word}s"] else []
    for word in ("set", "export", "result", "report"):
        lines += [f"  {word} {name}" for name in facts[f"{word}s"]]
    lines += [f"  copy of an export at {place}" for place in facts["copies"]]
    remote = [RemoteObject(**each) for each in facts["remote"]]
    chosen = _chosen(remote, which)
    for each in remote:
        there = ", which had it before" if each.was_there else ""
        word = "deleted" if done else "to be deleted"
        fate = word if each in chosen else "stays; --remote ours or --remote all deletes it"
        lines.append(f"  {each.kind} {each.remote_id} at the platform{there}: {fate}")
    return lines
