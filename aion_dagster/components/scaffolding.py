"""What `dg scaffold defs` writes: a `defs.yaml` that loads as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import dagster as dg
from dagster.components.scaffold.scaffold import NoParams


class _Example(dg.Scaffolder[NoParams]):
    attributes: ClassVar[Mapping[str, Any]] = {}

    def scaffold(self, request: dg.ScaffoldRequest[NoParams]) -> None:
        """Write the example."""
        dg.scaffold_component(request, dict(self.attributes))


class LibraryExample(_Example):
    """A library of the pictures in a folder of the project."""

    attributes: ClassVar[Mapping[str, Any]] = {
        "store": "{{ context.project_root }}/aion-store",
        "sources": [{"path": "{{ context.project_root }}/pictures"}],
        "datasets": [{"name": "main", "exports": ["coco", "yolo"]}],
    }


class DatasetExample(_Example):
    """A further dataset of the library in `defs/library`."""

    attributes: ClassVar[Mapping[str, Any]] = {
        "library": "library",
        "name": "further",
        "splits": {"train": 0.8, "val": 0.2},
        "exports": ["coco"],
    }


class PipelineExample(_Example):
    """A pipeline on the library in `defs/library`."""

    attributes: ClassVar[Mapping[str, Any]] = {
        "library": "library",
        "name": "look_around",
        "steps": [
            {"search_images": "landscape"},
            {"organize": "sort them by what they show"},
        ],
    }
