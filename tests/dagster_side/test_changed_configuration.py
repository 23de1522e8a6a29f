"""The configuration changes while the UI is open: `aion-dagster run` with other flags on the same store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
from small_library import coco
from watched_library import Watch, WatchedLibrary, configuration, draw, requests

from aion_dagster.config import LibraryConfig
from aion_dagster.definitions import build_definitions


def work_until_done(library: WatchedLibrary) -> None:
    while (result := library.tick()).run_requests:
        library.accept(result)


def tick_of_loaded(library: WatchedLibrary, now: LibraryConfig) -> Any:
    """A tick of the sensor that was loaded with the library's configuration, when another is in force."""
    definitions = build_definitions(library.config, quiet=True, in_force=lambda: now)
    sensor = definitions.resolve_sensor_def(library.names.job("new_files"))
    context = dg.build_sensor_context(
        instance_ref=library.instance.get_ref(), definitions=definitions, cursor=library.cursor
    )
    return sensor.evaluate_tick(context)


def label_file(place: Path, inbox: Path) -> str:
    pictures = [(p.name, 96, 72) for p in sorted(inbox.iterdir())]
    place.write_text(json.dumps(coco(pictures, [(0, "cat", [1.0, 2.0, 30.0, 40.0])])))
    return str(place)


def test_other_labels_do_not_keep_the_sensor_from_new_files(
    watch: Watch, inbox: Path, tmp_path: Path
) -> None:
    first = label_file(tmp_path / "first.json", inbox)
    loaded = watch(configuration(tmp_path / "store", inbox, labels=[first]))
    work_until_done(loaded)
    changed = loaded.configured(labels=[label_file(tmp_path / "second.json", inbox)])
    work_until_done(changed)

    assert tick_of_loaded(loaded, changed.config).run_requests == []
    draw(inbox, 90)
    result = tick_of_loaded(loaded, changed.config)
    assert set(requests(result)) == {loaded.batches()[-1]}


def test_folders_that_are_added_are_watched_at_once(
    watch: Watch, inbox: Path, tmp_path: Path
) -> None:
    loaded = watch(configuration(tmp_path / "store", inbox))
    work_until_done(loaded)
    draw(tmp_path / "another", 91)
    changed = configuration(tmp_path / "store", inbox, tmp_path / "another")
    assert len(requests(tick_of_loaded(loaded, changed))) == 1


def test_other_assets_are_not_asked_for_before_they_are_loaded(
    watch: Watch, inbox: Path, tmp_path: Path
) -> None:
    loaded = watch(configuration(tmp_path / "store", inbox))
    changed = loaded.configured(detect=["codes"])
    result = tick_of_loaded(loaded, changed.config)
    assert result.run_requests == []
    assert "Reload definitions" in result.skip_message
