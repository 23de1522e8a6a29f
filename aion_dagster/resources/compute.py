"""Local compute as a Dagster resource, for our assets and for a team's own."""

from __future__ import annotations

from typing import Any

import dagster as dg
from pydantic import Field, PrivateAttr

from aion_dagster.backends.local import LocalBackend
from aion_dagster.engines import EndpointConfig, ModelsConfig


class LocalComputeResource(dg.ConfigurableResource[Any]):
    """Looks at pictures on this machine: text, codes, objects, descriptions, text and image vectors.

    `text_model` is "auto" (the installed model, if any), "none", a folder with model.safetensors and tokenizer.json, or
    `<hub id>@<revision>`. `models` and `endpoint` take the fields of `ModelsConfig` and `EndpointConfig`, as the
    configuration of a library does.
    """

    text_model: str = "auto"
    models: dict[str, Any] = Field(default_factory=dict)
    endpoint: dict[str, Any] | None = None
    threads: int = 0
    _backend: LocalBackend = PrivateAttr()

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002 - Dagster's signature
        """Make the backend; models are loaded when they are first asked."""
        self._backend = self.open()

    def open(self) -> LocalBackend:
        """A backend outside a run, for sensors and scripts."""
        return LocalBackend(
            text_model=self.text_model,
            models=ModelsConfig.model_validate(self.models),
            endpoint=None
            if self.endpoint is None
            else EndpointConfig.model_validate(self.endpoint),
            threads=self.threads or None,
        )

    @property
    def backend(self) -> LocalBackend:
        """The backend of this run."""
        return self._backend
