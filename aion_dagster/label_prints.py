"""Fingerprints of label files: by path, size and time, so that nothing has to be read."""

from __future__ import annotations

from collections.abc import Sequence

from aion_dagster.identity import digest
from aion_dagster.label_config import LabelsConfig
from aion_dagster.label_places import label_entries
from aion_dagster.library_assets import LOGIC


def labels_print(labels: Sequence[str | LabelsConfig]) -> str:
    """Fingerprint of these labels: what is configured, and the files that it stands for.

    Raises:
        ConfigError: a label file is not there, or a bucket cannot be looked into.
    """
    written = [e if isinstance(e, str) else e.model_dump(mode="json") for e in labels]
    places = [e if isinstance(e, str) else e.path for e in labels]
    files = [entry for place in places for entry in label_entries(place)]
    # A library without labels has nothing to bring up to date.
    return digest(["labels", LOGIC["labels"] if labels else 1, written, files])
