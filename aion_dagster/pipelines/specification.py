"""`PipelineConfig`: a pipeline of agents as configuration, checked as a whole when it is loaded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, Literal, NoReturn, Protocol, runtime_checkable
from zoneinfo import available_timezones

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from aion_dagster.engines import Strict
from aion_dagster.pipelines.agents import (
    CARRIED,
    DataType,
)
from aion_dagster.pipelines.graph import SEEDS, Node, Wired, WiringError, said, wire
from aion_dagster.pipelines.steps import NAME, ApplyConfig, StepConfig

MOST_CALL_STEPS: Final = 10
"""Steps that the API takes in one call."""

_MOST_STEPS: Final = 100
_CRON_FIELD: Final = re.compile(r"[0-9A-Za-z*/,?#-]+")

Backend = Literal["local", "aionvision"]


class SeedsConfig(Strict):
    """What a pipeline starts from: ids of the library (or of the platform), `all`, or `batch`.

    With `batch` every step has a partition per batch of files, and starts from what is in it.
    """

    images: tuple[str, ...] | Literal["all", "batch"] = ()
    documents: tuple[str, ...] | Literal["all", "batch"] = ()

    @property
    def types(self) -> frozenset[DataType]:
        """The types of data that there are seeds of."""
        given: dict[DataType, object] = {"images": self.images, "documents": self.documents}
        return frozenset(kind for kind, value in given.items() if value)

    @property
    def by_batch(self) -> bool:
        """Whether steps are partitioned."""
        return "batch" in (self.images, self.documents)

    @field_validator("images", "documents")
    @classmethod
    def _once(cls, value: tuple[str, ...] | str) -> tuple[str, ...] | str:
        if isinstance(value, str):
            return value
        if not all(value):
            raise ValueError("an id is empty")
        return tuple(dict.fromkeys(value))

    @model_validator(mode="after")
    def _alike(self) -> SeedsConfig:
        if self.by_batch and {self.images, self.documents} - {"batch", ()}:
            raise ValueError(
                "seeds by batch cannot be mixed with others: say 'batch' of both, or of one alone"
            )
        return self


@runtime_checkable
class Built(Protocol):
    """A pipeline that is written as a chain of calls, see `builder.Pipeline`."""

    def fields(self) -> dict[str, Any]:
        """The fields of its `PipelineConfig`."""
        ...


class PipelineConfig(Strict):
    """A pipeline: each step is an asset `pipeline/<name>/<step>`.

    `backend` is the library's unless it says `local`. `mode: single_call` sends the whole pipeline to the platform in
    one call. `schedule` is `manual`, `on_new` (whenever the library changed) or a cron expression in `timezone`; at each
    tick of it everything is asked anew. `parallel` steps run side by side.
    """

    name: str = Field(pattern=NAME)
    seeds: SeedsConfig = SeedsConfig()
    steps: tuple[StepConfig, ...] = Field(max_length=_MOST_STEPS)
    backend: Literal["library", "local", "aionvision"] = "library"
    mode: Literal["steps", "single_call"] = "steps"
    schedule: str = "manual"
    timezone: str = "UTC"
    parallel: int = Field(default=4, ge=1, le=16)

    @model_validator(mode="before")
    @classmethod
    def _built(cls, data: Any) -> Any:
        """A pipeline that is not finished with `config()` yet is as good."""
        return data.fields() if isinstance(data, Built) else data

    @field_validator("schedule")
    @classmethod
    def _when(cls, value: str) -> str:
        if value in ("manual", "on_new"):
            return value
        fields = value.split()
        if len(fields) != 5 or not all(map(_CRON_FIELD.fullmatch, fields)):
            raise ValueError("must be manual, on_new or a cron expression such as '0 3 * * *'")
        return " ".join(fields)

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("must be the name of a time zone, such as Europe/Berlin")
        return value

    @model_validator(mode="after")
    def _wired(self) -> PipelineConfig:
        if not self.steps:
            refuse("a pipeline has at least one step", ("steps",))
        if self.is_scheduled and self.seeds.by_batch:
            raise ValueError(
                "schedule: a pipeline over batches is 'manual' or 'on_new'; a cron expression is for seeds of other kinds"
            )
        for number, step in enumerate(self.steps):
            if step.apply is not None and self.seeds.by_batch:
                reason = f"step {number}: a plan over one batch is not carried out; leave 'apply' or the seeds by batch away"
                _refuse(self, number, "apply", reason)
        taken = [n for n in self.step_names if self.step_names.count(n) > 1]
        if taken:
            number = len(self.step_names) - 1 - self.step_names[::-1].index(taken[0])
            _refuse(self, number, "name", f"step {number} is called {taken[0]!r} like another one")
        try:
            self.wired()
        except WiringError as error:
            _refuse(self, error.step, error.field, str(error))
        if self.mode == "single_call" and len(self.steps) > MOST_CALL_STEPS:
            node = self._nodes()[MOST_CALL_STEPS]
            reason = (
                f"{said(MOST_CALL_STEPS, node)} is one too many: a single call takes {MOST_CALL_STEPS} steps; "
                "leave 'mode' away, or divide the pipeline"
            )
            _refuse(self, MOST_CALL_STEPS, "agent", reason)
        return self

    @property
    def is_scheduled(self) -> bool:
        """Whether `schedule` is a cron expression."""
        return self.schedule not in ("manual", "on_new")

    @property
    def step_names(self) -> tuple[str, ...]:
        """The steps' names: those given, else the verb, numbered from the second on."""
        given = {step.name for step in self.steps if step.name}
        names: list[str] = []
        for step in self.steps:
            name, count = step.name or step.kind.verb, 1
            while not step.name and (name in given or name in names):
                count += 1
                name = f"{step.kind.verb}_{count}"
            names.append(name)
        return tuple(names)

    def wired(self) -> tuple[Wired, ...]:
        """Every step with what it takes from which others.

        Raises:
            WiringError: a step cannot be wired.
        """
        return wire(self._nodes(), self.seeds.types)

    def _nodes(self) -> tuple[Node, ...]:
        names = self.step_names
        return tuple(
            Node(name, step.agent, _numbers(number, name, step, names))
            for number, (name, step) in enumerate(zip(names, self.steps, strict=True))
        )

    def runs_on(self, library: Backend) -> Backend:
        """Who runs the steps, in a library with this backend."""
        return library if self.backend == "library" else self.backend


def check_for_backend(pipelines: Sequence[PipelineConfig], library: Backend) -> None:
    """Refuse what the backend of a library cannot do.

    Raises:
        ValidationError: at the pipeline and step that is to blame; the message says what to do.
    """
    for place, pipeline in enumerate(pipelines):
        where = ("pipelines", place)
        backend = pipeline.runs_on(library)
        if backend == "aionvision" and library == "local":
            refuse("backend 'aionvision' of a pipeline needs that of the library", where, "backend")
        if backend == "local" and pipeline.mode == "single_call":
            reason = "a single call is one to the platform: it needs the backend 'aionvision'"
            refuse(reason, where, "mode")
        for step in pipeline.wired():
            problem = _not_remote(pipeline, step) if backend == "aionvision" else None
            apply = pipeline.steps[step.number].apply
            if backend == "local" and apply and apply.to == "platform":
                problem = (
                    f"{said(step.number, step)}: 'to: platform' needs the backend 'aionvision'"
                )
            if library == "local" and apply and apply.to in ("tags", "platform_folders"):
                problem = (
                    f"{said(step.number, step)}: {apply.to} are those of the remote library, which needs the backend "
                    "'aionvision' of the library; 'to: folder' and 'to: s3' work without"
                )
            if problem:
                refuse(problem, where, "steps", step.number)


def _not_remote(pipeline: PipelineConfig, step: Wired) -> str | None:
    """Why a step cannot run at the platform as it is; None where it can."""
    apply = pipeline.steps[step.number].apply
    name = said(step.number, step)
    if pipeline.mode == "single_call":
        if pipeline.steps[step.number].min_score is not None:
            return f"{name}: a single call has no 'min_score'; leave it or 'mode' away"
        if step.agent == "folder" and (apply is None or apply.to != "platform"):
            return (
                f"{name} moves files in a single call: say 'apply: {{to: platform, confirm: true}}' to have that, or leave "
                "'mode' away to have a plan"
            )
        return None
    for kind, given in step.inputs.items():
        if kind in CARRIED:
            continue
        others = ", ".join(repr(pipeline.step_names[i]) for i in given if i != SEEDS)
        return (
            f"{name} takes {kind} from {others}, which a call of its own cannot carry (only images and documents): say "
            "'mode: single_call', or name other steps in depends_on"
        )
    return None


def _numbers(
    number: int, name: str, step: StepConfig, names: Sequence[str]
) -> tuple[int, ...] | None:
    """`depends_on` as numbers of steps."""
    if step.depends_on is None:
        return None
    found: list[int] = []
    for other in step.depends_on:
        if isinstance(other, str) and other not in names:
            raise WiringError(
                number,
                "depends_on",
                f"{said(number, Node(name, step.agent))} depends on {other!r}, which there is not; steps are "
                f"{', '.join(names)}",
            )
        found.append(names.index(other) if isinstance(other, str) else other)
    return tuple(dict.fromkeys(found))


def _refuse(pipeline: PipelineConfig, number: int, field: str, reason: str) -> NoReturn:
    """Raise an error that is placed at a step."""
    if getattr(pipeline.steps[number], field, None) is None:
        refuse(reason, ("steps", number))
    refuse(reason, ("steps", number), field)


def refuse(reason: str, where: tuple[str | int, ...], *field: str | int) -> NoReturn:
    """Raise an error of configuration that is placed at a field.

    Raises:
        ValidationError: with the reason and the place.
    """
    kind = PydanticCustomError("pipeline", "{reason}", {"reason": reason})
    details = InitErrorDetails(type=kind, loc=(*where, *field), input=None)
    raise ValidationError.from_exception_data("PipelineConfig", [details])


__all__ = [
    "MOST_CALL_STEPS",
    "ApplyConfig",
    "Backend",
    "PipelineConfig",
    "SeedsConfig",
    "StepConfig",
    "check_for_backend",
]
