"""`type: aion_dagster.Dataset` in a `defs.yaml`: a further dataset of a library that another `defs.yaml` describes."""

from __future__ import annotations

import dagster as dg

from aion_dagster.components.on_library import OnLibrary, OnLibraryAttributes
from aion_dagster.components.scaffolding import DatasetExample
from aion_dagster.config import DatasetConfig
from aion_dagster.definitions import dataset_definitions


class DatasetAttributes(OnLibraryAttributes, DatasetConfig):
    """A `DatasetConfig`, and where its library is."""


@dg.scaffold_with(DatasetExample)
class Dataset(OnLibrary[DatasetConfig]):
    """A curated, split and versioned dataset of a library, its exports and its card."""

    attributes_model = DatasetAttributes
    config_model = DatasetConfig

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The dataset's assets, with a job and a sensor of their own.

        Raises:
            ConfigError: the library has a dataset of this name.
        """
        library = self.library_config(context)
        if any(d.name == self.config.name for d in library.datasets):
            raise self.attributes.refusal(
                f"the library has a dataset {self.config.name!r} already", "name"
            )
        return dataset_definitions(library, self.config)
