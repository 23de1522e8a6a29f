"""`/agents/pipeline`: several agents, those without a dependency together in a wave."""

from __future__ import annotations

from typing import Any, Final

from ..exchange import Answer, Asked, invalid
from ..registry import answers
from ..work import Failure
from ..world import World
from .agents import found_chunks, found_images, known, organized, run_costs
from .library import Library, RemoteFile

AGENTS: Final = (
    "image_search", "document_search", "link_search", "analysis", "document_analysis", "link_analysis",
    "assistant", "folder", "cross_reference", "analytics", "chat",
)  # fmt: skip


@answers("POST /agents/pipeline", needs="steps")
def run(world: World, asked: Asked) -> Answer:
    steps = asked.given("steps")
    waves = _waves(steps)
    seeds = known(world, [*asked.given("image_ids", []), *asked.given("document_ids", [])])
    nodes: list[dict[str, Any]] = []
    inputs: list[list[RemoteFile]] = []
    for index, step in enumerate(steps):
        before = step.get("depends_on") or []
        given = [f for i in before for f in inputs[i]] or seeds
        broken = any(nodes[i]["status"] != "completed" for i in before)
        node, found = _node(world, asked, index, step, given, broken)
        nodes.append(node)
        inputs.append(found)
    world.books.bill(asked.entry, "agent_steps", len(steps))
    costs = run_costs(world, asked, " ".join(s["intent"] for s in steps))
    return Answer(
        {
            "success": all(n["status"] == "completed" for n in nodes),
            "nodes": nodes,
            "execution_time_ms": costs["execution_time_ms"],
            "total_waves": max(waves) + 1,
            "errors": [n["error"] for n in nodes if n["error"]],
            "token_usage": costs["token_usage"],
        }
    )


def _waves(steps: list[dict[str, Any]]) -> list[int]:
    """In which wave each step runs.

    Raises:
        Refusal: an agent that there is not, or a dependency on a step that does not come before.
    """
    waves: list[int] = []
    for index, step in enumerate(steps):
        if step["agent"] not in AGENTS:
            raise invalid(f"steps.{index}.agent", f"unknown agent {step['agent']!r}")
        before = step.get("depends_on") or []
        if any(not 0 <= i < index for i in before):
            raise invalid(f"steps.{index}.depends_on", "must name steps that come before")
        waves.append(max((waves[i] + 1 for i in before), default=0))
    return waves


def _node(
    world: World,
    asked: Asked,
    index: int,
    step: dict[str, Any],
    given: list[RemoteFile],
    broken: bool,
) -> tuple[dict[str, Any], list[RemoteFile]]:
    """What one step comes to, and the files that it hands on."""
    node: dict[str, Any] = {
        "node_id": f"step_{index}",
        "agent": step["agent"],
        "status": "completed",
        "summary": None,
        "outputs": {},
        "error": None,
        "execution_time_ms": 210,
    }
    fault = next((f for f in asked.failing if f.concerns(step["intent"])), None)
    if broken:
        return node | {"status": "skipped", "error": "a step before it failed"}, []
    if fault is not None:
        failure = Failure.of({"message": "the agent failed", **fault.options})
        return node | {"status": "failed", "error": failure.message}, []
    found, outputs = _worked(world, step["agent"], step["intent"], given)
    return node | {"summary": f"{step['agent']}: {step['intent']}", "outputs": outputs}, found


def _worked(
    world: World, agent: str, intent: str, given: list[RemoteFile]
) -> tuple[list[RemoteFile], dict[str, Any]]:
    library = world.room(Library)
    match agent:
        case "image_search":
            images = [file for _, file in found_images(world, intent, 50)]
            return images, {"image_ids": [f.id for f in images], "count": len(images)}
        case "document_search":
            chunks = found_chunks(world, intent, None)
            ids = list(dict.fromkeys(c["document_id"] for c in chunks))
            documents = [library.files[i] for i in ids]
            return documents, {"document_ids": ids, "chunk_ids": [c["chunk_id"] for c in chunks]}
        case "link_search":
            links = [f for f in library.live() if f.media_type == "link"]
            return links, {"link_ids": [f.id for f in links]}
        case "folder":
            actions = organized(world, intent, given, None)
            return given, {"actions": actions, "folders_created": len(actions)}
    return given, {"text": f"{agent} of {len(given)} files: {intent}"}
