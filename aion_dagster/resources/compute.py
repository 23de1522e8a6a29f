"""Local compute as a Dagster resource, for our assets and for a team's own."""

from __future__ import annotations

from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from aion_dagster.backends.local import LocalBackend


class LocalComputeResource(dg.ConfigurableResource[Any]):
    """Looks at pictures on this machine: text, codes, measured facts, text vectors.

    `text_model` is "auto" (the installed model, if any), "none", or a folder with model.safetensors and
    tokenizer.json.
    """

    text_model: str = "auto"
    threads: int = 0
    _backend: LocalBackend = PrivateAttr()

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002 - Dagster's signature
        """Make the backend; models are loaded when they are first asked."""
        self._backend = self.open()

    def open(self) -> LocalBackend:
        """A backend outside a run, for sensors and scripts."""
        return LocalBackend(text_model=self.text_model, threads=self.threads or None)

    @property
    def backend(self) -> LocalBackend:
        """The backend of this run."""
        return self._backend
