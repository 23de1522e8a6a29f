"""`StepConfig`: what one agent is to do, in the long form or the short one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from aion_dagster.engines import Strict
from aion_dagster.pipelines.agents import AGENTS, VERBS, AgentKind, AgentName, agent_named
from aion_dagster.storage.places import place_of

NAME: Final = r"^[a-z][a-z0-9_]{0,39}$"


class ApplyConfig(Strict):
    """What becomes of the plan of an `organize` step; without `confirm: true` nothing does.

    `to: folder` copies the originals into folders below `target` (a relative one is taken from the current directory, as
    the path of a source is), `s3` to prefixes below `target` (`s3://bucket/prefix`),
    `tags` gives the remote library's files the folder's name as a tag, `platform_folders` makes the folders there, below
    that called `target`, and moves the files as planned, `platform` has the platform's own agent put the files into
    folders as it sees fit. Originals are never moved or deleted by the first two.
    """

    to: Literal["folder", "s3", "tags", "platform_folders", "platform"]
    target: str = ""
    confirm: bool = False

    @model_validator(mode="after")
    def _complete(self) -> ApplyConfig:
        if not self.confirm:
            raise ValueError(
                "'confirm: true' is missing: a plan is carried out only where the configuration says so; without 'apply' "
                "the step makes the plan alone"
            )
        if self.to == "s3" and not re.match(r"^s3://[^/]+", self.target):
            raise ValueError("'to: s3' needs a target such as s3://bucket/prefix")
        if self.to == "folder" and (not self.target or "://" in self.target):
            raise ValueError("'to: folder' needs a target: the folder to copy into")
        if self.to == "folder":
            object.__setattr__(self, "target", str(place_of(self.target)))
        if self.to in ("tags", "platform") and self.target:
            raise ValueError(f"'to: {self.to}' takes no target")
        return self


class StepConfig(Strict):
    """What one agent is to do; `search_images: TEXT` says the same as `{agent: image_search, intent: TEXT}`.

    `depends_on` names earlier steps by number (from 0) or name; without it steps are wired by the types of data, an
    empty one waits for nothing. `limit` is the most that a search finds. `min_score` (0 to 1) is for `search_images`
    alone: here the least likeness in meaning of a picture that has no word of the query (never below 0.3), at the
    platform the least score that it gives. `apply` is for `organize` alone.
    """

    agent: AgentName
    intent: str = Field(min_length=1, max_length=2000)
    name: str | None = Field(default=None, pattern=NAME)
    depends_on: tuple[int | str, ...] | None = None
    limit: int = Field(default=50, ge=1, le=500)
    min_score: float | None = Field(default=None, ge=0, le=1)
    apply: ApplyConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _spelled_out(cls, data: Any) -> Any:
        """The short form, and agents named by their verb."""
        if not isinstance(data, Mapping):
            return data
        found = [word for word in data if word in VERBS]
        if "agent" not in data and len(found) == 1:
            rest = {k: v for k, v in data.items() if k != found[0]}
            return {"agent": VERBS[found[0]].name, "intent": data[found[0]], **rest}
        if len(found) > 1:
            raise ValueError(f"one step has one agent, not {', '.join(found)}: make a step of each")
        named = data.get("agent")
        if isinstance(named, str):
            kind = agent_named(named)
            if kind is None:
                raise _unknown_agent(named)
            return {**data, "agent": kind.name}
        unknown = [w for w in data if isinstance(w, str) and w not in cls.model_fields]
        if "agent" not in data and unknown:
            raise _unknown_agent(unknown[0])
        return data

    @field_validator("depends_on", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        """One step may stand for itself."""
        return (value,) if isinstance(value, int | str) else value

    @field_validator("depends_on")
    @classmethod
    def _once(cls, value: tuple[int | str, ...] | None) -> tuple[int | str, ...] | None:
        return None if value is None else tuple(dict.fromkeys(value))

    @model_validator(mode="after")
    def _applies(self) -> StepConfig:
        if self.apply is not None and self.agent != "folder":
            raise ValueError(f"'apply' is for organize alone, not for {self.agent}")
        if self.min_score is not None and self.agent != "image_search":
            raise ValueError(f"'min_score' is for search_images alone, not for {self.agent}")
        return self

    @property
    def kind(self) -> AgentKind:
        """What its agent takes and gives."""
        return AGENTS[self.agent]

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Both forms, so that editors complete and accept either."""
        full = handler.resolve_ref_schema(handler(core_schema))
        full["properties"]["agent"]["enum"] = [*AGENTS, *VERBS]
        full["properties"]["agent"].pop("const", None)
        full["properties"]["depends_on"]["anyOf"] += [{"type": "integer"}, {"type": "string"}]
        rest = {k: v for k, v in full["properties"].items() if k not in ("agent", "intent")}
        short = {
            "type": "object",
            "title": "StepConfig, short",
            "additionalProperties": False,
            "minProperties": 1,
            "properties": dict.fromkeys(VERBS, full["properties"]["intent"]) | rest,
            "oneOf": [{"required": [verb]} for verb in VERBS],
        }
        long = {**full}
        full.clear()
        full |= {"title": "StepConfig", "anyOf": [long, short]}
        return full


def _unknown_agent(named: str) -> PydanticCustomError:
    return PydanticCustomError(
        "unknown_agent",
        "{named} is no agent; there are {agents}",
        {"named": repr(named), "agents": ", ".join(f"{v} ({k.name})" for v, k in VERBS.items())},
    )
