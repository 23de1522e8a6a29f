"""Carrying a plan of folders out: copies into folders or prefixes of a bucket, tags at the platform, or its own agent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from aion_dagster.errors import AionError, ConfigError, SourceError, StorageError
from aion_dagster.pipelines.remote import ORGANIZE, RemoteAgents, sent_ids
from aion_dagster.pipelines.remote_ids import RemoteIds
from aion_dagster.pipelines.results import Given, Item, Placed
from aion_dagster.pipelines.steps import ApplyConfig
from aion_dagster.pipelines.targets import lie_in_each_other
from aion_dagster.pipelines.written import spent
from aion_dagster.storage.places import Place, write_bytes
from aion_dagster.wording import plural

if TYPE_CHECKING:
    from aion_dagster.client import SyncAionVision

TOLD: Final = "told"
"""Name of the metadata that says in one line how a plan was carried out."""

_PAGE: Final = 100
_MOST_TAGS: Final = 40
_LONGEST_TAG: Final = 50

DONE: Final[Mapping[str, str]] = {
    "folder": "copied",
    "s3": "copied",
    "tags": "tagged at the platform",
    "platform_folders": "put into folders of the platform",
    "platform": "put into folders by the platform's own agent",
}
"""What is done with the files of a plan, by `to`."""

ReadFile = Callable[[str, str], bytes]
"""(kind, id) → the bytes of an original; raises SourceError where they are gone."""


@dataclass(frozen=True)
class CarriedOut:
    """What was done: `done` files, `there` that were so already, and the reasons of those that were not."""

    done: int
    there: int
    failures: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    def told(self, apply: ApplyConfig) -> str:
        """In one line."""
        preposition = "below" if apply.to == "platform_folders" else "into"
        where = f" {preposition} {apply.target}" if apply.target else ""
        parts = [f"{plural(self.done, 'file')} {DONE[apply.to]}{where}"]
        if self.there:
            parts.append(f"{self.there} so already")
        if self.failures:
            parts.append(f"{len(self.failures)} failed, the first: {self.failures[0]}")
        return ", ".join(parts)


class TargetError(AionError):
    """The target of a plan cannot be written; the message names the file and the reason."""


def check_target(target: str, forbidden: Sequence[Path]) -> None:
    """Refuse a folder that is watched or holds the store, or that these lie in.

    Raises:
        ConfigError: names it.
    """
    for other in forbidden:
        if lie_in_each_other(target, str(other)):
            raise ConfigError(
                f"apply.target: {target} and {other} lie in each other; copies there would be taken in as new files"
            )


def copied(plan: Sequence[Placed], target: Place, read: ReadFile) -> CarriedOut:
    """Copies of originals below `target`, in the plan's folders; a file that is there with the same bytes stays.

    Nothing is overwritten: another file of the same name stands beside, its name ended by the first of its id.

    Raises:
        TargetError: a copy cannot be written; those before it stay, and another time it goes on from there.
    """
    done = there = 0
    failures: list[str] = []
    for one, name in _named(plan):
        if one.id is None:
            failures.append(f"{one.name}: only the platform has it")
            continue
        place = target.joinpath(*PurePosixPath(one.folder).parts, name)
        try:
            data = read(one.kind, one.id)
        except SourceError as error:
            failures.append(f"{one.name}: {error}")
            continue
        try:
            is_new = _written(place, data, one.id)
        except (OSError, StorageError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise TargetError(
                f"{one.name} cannot be copied to {place}: {reason or error} (after {plural(done, 'copy')})"
            ) from error
        done += is_new
        there += not is_new
    return CarriedOut(done, there, tuple(failures), {"target": str(target)})


def _written(place: Place, data: bytes, key: str) -> bool:
    """Write a copy beside whatever else has its name; whether it was not there yet."""
    if place.is_file():
        if place.read_bytes() == data:
            return False
        path = PurePosixPath(place.name)
        place = place.parent.joinpath(f"{path.stem}-{key[:8]}{path.suffix}")
        if place.is_file() and place.read_bytes() == data:
            return False
    if isinstance(place, Path):
        place.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(place, data)
    return True


def tagged(plan: Sequence[Placed], ids: RemoteIds, client: SyncAionVision) -> CarriedOut:
    """The folder's name as a tag more of each file at the platform; one that has it is left alone."""
    wanted: dict[str, str] = {}
    failures: list[str] = []
    for one, remote in zip(plan, ids.remotes(plan), strict=True):
        if remote is None:
            failures.append(f"{one.name}: is not at the platform")
        else:
            wanted[remote] = one.folder.replace(",", " ")[:_LONGEST_TAG]
    listed = list(wanted)
    done = there = 0
    for begin in range(0, len(listed), _PAGE):
        page = listed[begin : begin + _PAGE]
        found = {f.id: f for f in client.files.list(ids=page, limit=_PAGE).files}
        for remote in page:
            file = found.get(remote)
            if file is None:
                failures.append(f"{remote}: is not at the platform any more")
            elif wanted[remote] in file.tags:
                there += 1
            elif len(file.tags) >= _MOST_TAGS:
                failures.append(f"{remote}: has {_MOST_TAGS} tags already")
            else:
                client.files.update(remote, tags=[*file.tags, wanted[remote]])
                done += 1
    return CarriedOut(done, there, tuple(failures))


def moved(plan: Sequence[Placed], below: str, ids: RemoteIds, client: SyncAionVision) -> CarriedOut:
    """Files put into folders of the platform as planned; folders that are there by their name are used.

    Args:
        plan: which file goes where.
        below: name of the folder at the root that holds the others; empty for the root itself.
        ids: ids of the library and of the platform.
        client: asks the platform; none of this is paid.
    """
    failures: list[str] = []
    wanted: dict[str, list[str]] = {}
    for one, remote in zip(plan, ids.remotes(plan), strict=True):
        if remote is None:
            failures.append(f"{one.name}: is not at the platform")
        else:
            wanted.setdefault(one.folder, []).append(remote)
    made = done = 0
    tree = client.folders.tree()
    parent: str | None = None
    if below and wanted:
        known = next((f.id for f in tree.children() if f.name == below), None)
        parent = known or client.folders.create(below).id
        made += known is None
    for name, files in wanted.items():
        found = next((f.id for f in tree.children(parent) if f.name == name), None)
        folder = found or client.folders.create(name, parent_id=parent).id
        made += found is None
        for begin in range(0, len(files), _PAGE):
            page = files[begin : begin + _PAGE]
            done += client.folders.move_files(page, folder_id=folder).moved
    return CarriedOut(done, 0, tuple(failures), {"folders_created": made})


def organized(
    plan: Sequence[Placed], intent: str, agents: RemoteAgents, occasion: str
) -> CarriedOut:
    """The files of a plan put into folders by the platform's own agent; asked once, and never again blindly.

    Raises:
        InDoubtError: it was asked before, and its answer never came.
        AgentError: it failed.
    """
    given = Given(tuple(Item(p.kind, p.id, p.remote_id) for p in plan))
    images, documents, missing = sent_ids(RemoteIds(agents.store), given)
    if not images and not documents:
        return CarriedOut(0, 0, tuple(f"{p.name}: is not at the platform" for p in plan))
    ask = partial(_organize, intent, images, documents)
    asked = [intent, images, documents]
    payload, paid = agents.once(ORGANIZE, asked, [occasion], ask, _problem, repeatable=False)
    moved = int(payload.get("files_moved") or 0)
    facts = {
        "summary": str(payload.get("summary") or "")[:300],
        "folders_created": int(payload.get("folders_created") or 0),
        **spent(paid),
        **({"not_at_the_platform": missing} if missing else {}),
    }
    return CarriedOut(moved if paid else 0, 0 if paid else moved, (), facts)


def _organize(intent: str, images: list[str], documents: list[str], client: SyncAionVision) -> Any:
    return client.agent_operations.organize(
        intent, image_ids=images or None, document_ids=documents or None
    )


def _problem(_payload: Any) -> str | None:
    """Whatever it answers was carried out: it is never asked again."""
    return None


def _named(plan: Sequence[Placed]) -> Iterator[tuple[Placed, str]]:
    """Every file with a name that no other of its folder has, whatever case counts for there."""
    taken: set[tuple[str, str]] = set()
    for one in plan:
        name = PurePosixPath(one.name).name
        if name in ("", ".", ".."):
            name = one.id or "file"
        if (one.folder, name.casefold()) in taken:
            path = PurePosixPath(name)
            name = f"{path.stem}-{(one.id or one.remote_id or '')[:8]}{path.suffix}"
        taken.add((one.folder, name.casefold()))
        yield one, name
