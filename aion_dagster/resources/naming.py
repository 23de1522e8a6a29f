"""The Dagster names of one library, prefixed so that several libraries share a code location."""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg

DEFAULT_LIBRARY = "default"


@dataclass(frozen=True)
class Names:
    """Keys, partitions, jobs, pools and resource keys of a library; the default library has no prefix."""

    library: str = DEFAULT_LIBRARY

    @property
    def _prefix(self) -> str:
        return "" if self.library == DEFAULT_LIBRARY else f"{self.library}_"

    def key(self, asset: str) -> dg.AssetKey:
        """`images` → `images`, or `<library>/images`; slashes in `asset` are levels of the key."""
        path = asset.split("/")
        return dg.AssetKey(path if self.library == DEFAULT_LIBRARY else [self.library, *path])

    def asset(self, key: dg.AssetKey) -> str:
        """The reverse of `key`."""
        path = list(key.path)
        if self.library != DEFAULT_LIBRARY and path[:1] == [self.library]:
            path = path[1:]
        return "/".join(path)

    @property
    def partitions_name(self) -> str:
        """Name of the dynamic partitions definition whose keys are batches."""
        return f"{self._prefix}batches"

    @property
    def partitions(self) -> dg.DynamicPartitionsDefinition:
        """One partition per batch of files."""
        return dg.DynamicPartitionsDefinition(name=self.partitions_name)

    def resource(self, name: str) -> str:
        """Resource key: merged definitions share one namespace."""
        return f"{self._prefix}{name}"

    @property
    def tables(self) -> str:
        """Resource key of the table IO manager."""
        return self.resource("tables")

    @property
    def store(self) -> str:
        """Resource key of the store."""
        return self.resource("store")

    def job(self, name: str) -> str:
        """Name of a job or sensor."""
        return f"{self._prefix}{name}"

    def op(self, name: str) -> str:
        """Name of an op that computes several assets."""
        return f"{self._prefix}{name}"

    def pool(self, name: str) -> str:
        """Name of a concurrency pool."""
        return f"{self._prefix}{name}"

    def group(self, part: str) -> str:
        """Name of an asset group, which the UI draws as a box: `pictures`, or `<library>_pictures`."""
        return f"{self._prefix}{part}"
