"""Agents: searches, reports, analyses, files put in order. Every call costs, also when it is made twice."""

from __future__ import annotations

from typing import Any

from ..exchange import Answer, Asked
from ..registry import answers
from ..world import World
from .document_uploads import saved_text
from .documents import matching
from .documents_intake import likeness
from .folders import Folders
from .library import Library, RemoteFile, refreshed, thumbnail


def run_costs(world: World, asked: Asked, words: str) -> dict[str, Any]:
    """What every agent says of its run, which is billed."""
    world.books.bill(asked.entry, "agent_calls")
    tokens = {"input_tokens": 400 + len(words), "output_tokens": 120}
    world.books.bill(asked.entry, "tokens", sum(tokens.values()))
    return {
        "execution_time_ms": 640,
        "iterations": 1,
        "token_usage": tokens | {"total_tokens": sum(tokens.values())},
    }


def found_images(
    world: World, query: str, limit: int, ids: list[str] | None = None, folder: str | None = None
) -> list[tuple[float, RemoteFile]]:
    """Pictures whose description has words of a query, the best first."""
    hits = []
    for file in world.room(Library).live():
        if file.media_type != "image" or (ids is not None and file.id not in ids):
            continue
        picture = file.seen(world.now())
        if picture is None or (folder is not None and file.folder_id != folder):
            continue
        text = f"{file.title or ''} {picture.title} {picture.description} {picture.visible_text}"
        score = likeness(query, " ".join([text, *picture.tags, *file.tags]))
        if score > 0:
            hits.append((score, file))
    return sorted(hits, key=lambda hit: -hit[0])[:limit]


def as_hit(world: World, score: float, file: RemoteFile) -> dict[str, Any]:
    picture = file.seen(world.now())
    return {
        "image_id": file.id,
        "score": score,
        "filename": file.filename,
        "title": file.title or (picture.title if picture else None),
        "description": picture.description if picture else None,
        "folder_id": file.folder_id,
        "thumbnail_url": thumbnail(world, file),
        "features": None,
    }


def told(kind: str, ids: list[str], query: str) -> dict[str, Any]:
    """The summary of a search, with a reference to what was found, and resolved."""
    ref = {
        "count": len(ids),
        "ids": ids,
        "image_ids": ids if kind == "image" else [],
        "id_type": kind,
        "label": f"{kind} results",
    }
    return {
        "summary": f"Found {len(ids)} results for {query!r}.",
        "summary_raw": f"Found [[ref:{kind}_results]] results for {query!r}.",
        "result_refs": {f"{kind}_results": ref},
    }


@answers("POST /agents/search/images", needs="query")
def search_images(world: World, asked: Asked) -> Answer:
    query = asked.given("query")
    hits = found_images(
        world, query, asked.given("limit", 50), asked.given("image_ids"), asked.given("folder_id")
    )
    ids = [file.id for _, file in hits]
    return Answer(
        {
            "success": True,
            "results": [as_hit(world, score, file) for score, file in hits],
            "count": len(hits),
            "result_ids": ids,
            **told("image", ids, query),
            "search_strategy": {"mode": "words"},
            **run_costs(world, asked, query),
        }
    )


@answers("POST /agents/search/documents", needs="query")
def search_documents(world: World, asked: Asked) -> Answer:
    query = asked.given("query")
    chunks = found_chunks(world, query, asked.given("document_ids"), asked.given("document_types"))[
        : asked.given("limit", 50)
    ]
    ids = list(dict.fromkeys(c["document_id"] for c in chunks))
    return Answer(
        {
            "success": True,
            "results": [as_chunk_hit(c) for c in chunks],
            "count": len(chunks),
            "chunk_ids": [c["chunk_id"] for c in chunks],
            "document_ids": ids,
            **told("document", ids, query),
            "search_mode": "semantic",
            "search_strategy": None,
            **run_costs(world, asked, query),
        }
    )


def found_chunks(
    world: World, query: str, ids: list[str] | None, kinds: list[str] | None = None
) -> list[dict[str, Any]]:
    library = world.room(Library)
    chunks = matching(world, query, ids)
    if kinds is None:
        return chunks
    return [c for c in chunks if library.files[c["document_id"]].extra["document_type"] in kinds]


def as_chunk_hit(chunk: dict[str, Any]) -> dict[str, Any]:
    return {
        "chunk_id": chunk["chunk_id"],
        "document_id": chunk["document_id"],
        "document_filename": chunk["document_filename"],
        "text": chunk["content"],
        "score": chunk["similarity_score"],
        "page_numbers": chunk["page_numbers"],
        "chunk_index": chunk["chunk_index"],
    }


@answers("POST /agents/search/videos", needs="query")
def search_videos(world: World, asked: Asked) -> Answer:
    query, wanted = asked.given("query"), asked.given("video_ids")
    videos = [
        (score, f)
        for f in world.room(Library).live()
        if f.media_type == "video" and (wanted is None or f.id in wanted)
        if (score := likeness(query, f"{f.title or ''} {f.filename}".replace("_", " "))) > 0
    ]
    ids = [f.id for _, f in videos]
    return Answer(
        {
            "success": True,
            "results": [
                {
                    "video_id": f.id,
                    "video_filename": f.filename,
                    "video_description": f.title or "",
                    "duration_seconds": 12.0,
                    "resolution": "1920x1080",
                    "thumbnail_url": None,
                    "score": score,
                    "matched_scenes": [],
                }
                for score, f in videos[: asked.given("limit", 50)]
            ],
            "count": len(videos),
            "video_ids": ids,
            **told("video", ids, query),
            "search_mode": "semantic",
            "search_strategy": None,
            **run_costs(world, asked, query),
        }
    )


@answers("POST /agents/synthesize", needs="intent")
def synthesize(world: World, asked: Asked) -> Answer:
    images, documents = asked.given("image_ids", []), asked.given("document_ids", [])
    known(world, [*images, *documents])
    report = (
        f"# {asked.given('intent')}\n\nOn {len(images)} images and {len(documents)} documents.\n"
    )
    saved = (
        saved_text(world, asked, report, "report.md").id
        if asked.given("auto_save", False)
        else None
    )
    return Answer(
        {
            "success": True,
            "report": report,
            "summary": f"A report on {len(images) + len(documents)} files",
            "image_count": len(images),
            "document_count": len(documents),
            "saved_document_id": saved,
            **run_costs(world, asked, asked.given("intent")),
        }
    )


@answers("POST /agents/analyze/documents", needs="intent document_ids")
def analyze_documents(world: World, asked: Asked) -> Answer:
    ids = asked.given("document_ids")
    files = known(world, ids)
    return Answer(
        {
            "success": True,
            "analysis": f"{asked.given('intent')}: {', '.join(f.filename for f in files)}.",
            "summary": f"{len(files)} documents analysed",
            "document_count": len(files),
            "categorization": {"report": ids},
            "chunk_references": [
                {
                    "chunk_id": f"{f.id}-0000",
                    "document_id": f.id,
                    "document_filename": f.filename,
                    "page_numbers": [1],
                }
                for f in files
            ],
            **run_costs(world, asked, asked.given("intent")),
        }
    )


@answers("POST /agents/organize", needs="intent")
def organize(world: World, asked: Asked) -> Answer:
    names = ("image_ids", "document_ids", "video_ids")
    files = known(world, [i for name in names for i in asked.given(name, [])])
    actions = organized(world, asked.given("intent"), files, asked.given("parent_folder_id"))
    return Answer(
        {
            "success": True,
            "summary": f"{len(files)} files put into {len(actions)} folders",
            "actions": actions,
            "folders_created": len(actions),
            "files_moved": len(files),
            **run_costs(world, asked, asked.given("intent")),
        }
    )


def organized(
    world: World, intent: str, files: list[RemoteFile], parent: str | None
) -> list[dict[str, Any]]:
    """Put files into new folders by their kind; done twice, there are twice as many folders."""
    folders = world.room(Folders)
    if parent is not None:
        folders.get(parent)
    actions = []
    for kind in sorted({f.media_type for f in files}):
        folder = folders.create(world, f"{intent[:40]}: {kind}s", parent)
        moved = [f for f in files if f.media_type == kind]
        for file in moved:
            file.folder_id = folder.id
        actions.append(
            {
                "action": "create_folder",
                "folder_id": folder.id,
                "folder_name": folder.name,
                "file_count": len(moved),
            }
        )
    return actions


def known(world: World, ids: list[str]) -> list[RemoteFile]:
    """The files of these ids.

    Raises:
        Refusal: one is not there.
    """
    return [refreshed(world, world.room(Library).get(i)) for i in ids]
