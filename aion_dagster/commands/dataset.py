"""`aion-dagster dataset`: list the versions of datasets, show one, compare two, export any of them again."""

from __future__ import annotations

import dataclasses
import json
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aion_dagster.commands.settings import store_config
from aion_dagster.config import DatasetConfig, LibraryConfig
from aion_dagster.curation.fingerprint import DatasetDiff, diff
from aion_dagster.dataset_versions import (
    Manifest,
    dataset_names,
    export_version,
    load,
    manifest,
    manifests,
    names_of,
    previous_of,
    resolved,
)
from aion_dagster.errors import ConfigError
from aion_dagster.formats.export import FORMATS
from aion_dagster.storage.durable import storage_errors
from aion_dagster.storage.store import Store
from aion_dagster.wording import plural

_SHOWN = 20


def dataset(args: Namespace) -> int:
    """Do what the action says."""
    config = store_config(args)
    with Store.open(config.store, library=config.name, create=False) as store:
        actions = {"list": _list, "show": _show, "diff": _diff, "export": _export}
        actions[args.action](config, store, args)
    return 0


def _list(_config: LibraryConfig, store: Store, args: Namespace) -> None:
    wanted = [args.name] if args.name else dataset_names(store)
    found = [m for name in wanted for m in manifests(store, name)]
    if args.json:
        _say_json([m.plain() for m in found])
    elif not found:
        _say("No dataset has been made yet.")
    for one in found if not args.json else ():
        splits = ", ".join(f"{n} {split}" for split, n in one.splits.items())
        mark = f"{_erased(one)}  current" if one.is_current else _erased(one)
        _say(f"{one.dataset}  {one.version}  {_moment(one)}  {plural(one.pictures, 'picture')} ({splits}), {plural(one.boxes, 'box')}{mark}")  # fmt: skip


def _show(_config: LibraryConfig, store: Store, args: Namespace) -> None:
    one = manifest(store, args.name, args.version)
    exports = {e: str(store.exports.place(one.dataset, e)) for e in store.exports.names(one.dataset)} if one.is_current else {}  # fmt: skip
    if args.json:
        _say_json(one.plain() | {"exports": exports})
        return
    _say(f"dataset  {one.dataset}, version {one.version}{' (current)' if one.is_current else ''}")
    _say(f"made     {_moment(one)}{f', after {one.after}' if one.after else ''}")
    if one.run_id:
        _say(f"run      {one.run_id}")
    _say(f"pictures {one.pictures}: {_counts(one.splits)}{_erased(one)}")
    _say(f"boxes    {one.boxes}: {_counts(one.classes)}")
    _say(f"left out {_counts(one.left_out) or 'nothing'}")
    _say(f"losses   {_counts(one.losses) or 'none'}")
    for key, value in one.settings.items():
        _say(f"  {key}: {json.dumps(value)}")
    for export, place in exports.items():
        _say(f"{export:8} {place}")


def _diff(_config: LibraryConfig, store: Store, args: Namespace) -> None:
    after = resolved(store, args.name, args.after)
    before = resolved(store, args.name, args.before) if args.before else previous_of(store, args.name, after)  # fmt: skip
    if before is None:
        raise ConfigError(f"dataset {args.name} has one version only: {after}")
    old, new = load(store, args.name, before), load(store, args.name, after)
    found = diff(old, new)
    names = names_of(found, old, new)
    if args.json:
        _say_json(_plain_diff(found) | {"before": before, "after": after, "names": names})
        return
    _say(f"{args.name}: {before} → {after}")
    for one in (manifest(store, args.name, before), manifest(store, args.name, after)):
        if one.erased:
            _say(f"{one.version}{_erased(one)}: compared is what is left")
    for line in _lines(found, names):
        _say(line)


def _lines(found: DatasetDiff, names: Mapping[str, list[str]]) -> Iterator[str]:
    """A difference as a person reads it."""
    if not found and not found.settings:
        yield "no difference"
    for what, listed in names.items():
        if listed:
            yield f"{what:10} {len(listed)}: {_shortened(listed)}"
    for (was, now), count in found.moved_between.items():
        yield f"  {count} from {was} to {now}"
    more, gone = found.annotations_added, found.annotations_removed
    if more or gone:
        yield f"in changed pictures: {more} boxes more, {gone} gone"
    for (was, now), count in found.reclassified.items():
        yield f"reclassified {count}: {was} → {now}"
    for what, classes in (("added", found.classes_added), ("removed", found.classes_removed)):
        if classes:
            yield f"classes {what}: {', '.join(classes)}"
    for key, (value, other) in found.settings.items():
        yield f"setting {key}: {json.dumps(value)} → {json.dumps(other)}"


def _plain_diff(found: DatasetDiff) -> dict[str, Any]:
    plain = dataclasses.asdict(found)
    for key in ("reclassified", "moved_between"):
        plain[key] = [{"before": a, "after": b, "count": n} for (a, b), n in plain[key].items()]
    plain["settings"] = {k: {"before": a, "after": b} for k, (a, b) in found.settings.items()}
    return plain


def _export(config: LibraryConfig, store: Store, args: Namespace) -> None:
    from aion_dagster.configured_exports import captions, export_options
    from aion_dagster.resources.sources import SourceReader

    chosen = load(store, args.name, args.version)
    configured = next((d for d in config.datasets if d.name == args.name), None)
    settings = configured or DatasetConfig(name=args.name)
    formats = args.format.split(",") if args.format else list(settings.exports)
    for one in formats:
        if one not in FORMATS:
            raise ConfigError(f"--format {one}: known are {', '.join(FORMATS)}")
    if store.sets.current(f"dataset/{args.name}") == chosen.version and not args.to:
        raise ConfigError(
            f"{chosen.version} is the current version, which 'aion-dagster run' exports; name another folder by --to"
        )
    options = {one: export_options(settings, one) for one in formats}
    archive = settings.export_options.archive
    folder = _folder(args.to) if args.to else None
    with store.lock(exclusive=False, what="aion-dagster dataset export"):
        done = export_version(
            store,
            chosen,
            SourceReader.from_config(config),
            options,
            folder=folder,
            leaks=settings.leaks == "warn",
            captions={one: captions(store, settings, one, chosen) for one in formats},
            archive=None if archive == "none" else archive,
        )
    if args.json:
        exports = {e.format: {"place": str(e.place), "pictures": e.report.images, "boxes": e.report.annotations, "losses": e.losses} for e in done}  # fmt: skip
        _say_json({"dataset": args.name, "version": chosen.version, "exports": exports})
    for one in done if not args.json else ():
        report = one.report
        _say(f"{one.format:8} {one.place}  {plural(report.images, 'picture')}, {plural(report.annotations, 'box')}, {plural(one.losses, 'line')} in losses.csv")  # fmt: skip


def _folder(place: str) -> Path:
    """An existing folder, made where it is not there."""
    if "://" in place:
        raise ConfigError(f"--to {place}: is no folder; 'destination' of a dataset puts copies of its exports into a bucket")  # fmt: skip
    folder = Path(place).absolute()
    with storage_errors("create the folder", folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _erased(one: Manifest) -> str:
    return f", {plural(one.erased, 'picture')} erased since" if one.erased else ""


def _moment(one: Manifest) -> str:
    return (
        "at an unknown time" if one.written_at is None else f"{one.written_at:%Y-%m-%d %H:%M} UTC"
    )


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counts.items())


def _shortened(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"


def _say(text: str) -> None:
    print(text)


def _say_json(value: Any) -> None:
    _say(json.dumps(value))
