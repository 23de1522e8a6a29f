"""Agents and pipelines of them."""

from __future__ import annotations

from typing import Any, Final

from .case import Case, Given, given
from .made import Made


def _begin(client: Any, arguments: Given) -> Any:
    pipeline = client.pipeline()
    pipeline.with_images(arguments.kwargs["image_ids"])
    pipeline.with_documents(arguments.kwargs["document_ids"])
    pipeline.search_images("poles").search_documents("records").search_links("vendors")
    pipeline.analyze("what is damaged", depends_on=[0]).analyze_documents("key issues")
    pipeline.analyze_links("summaries").cross_reference("findings", depends_on=[0, 1])
    pipeline.synthesize("a report", depends_on=[6]).organize("by damage", depends_on=[3])
    return pipeline.step("analytics", "how many").run()


def _in_folder(made: Made) -> dict[str, Any]:
    image, folder = made.image(), made.folder()
    made.client.folders.move_files([image], folder_id=folder)
    return {"limit": 5, "folder_id": folder, "image_ids": [image]}


CASES: Final = (
    Case(
        "POST /agents/search/images",
        "agent_search.images",
        lambda m: given("a picture", **_in_folder(m)),
    ),
    Case(
        "POST /agents/search/documents",
        "agent_search.documents",
        lambda m: given("helmet", limit=5, document_types=["md"], document_ids=[m.document()]),
    ),
    Case(
        "POST /agents/search/videos",
        "agent_search.videos",
        lambda m: given("a video", limit=5, video_ids=[m.video().media_id], folder_id=m.folder()),
    ),
    Case(
        "POST /agents/synthesize",
        "agent_operations.synthesize",
        lambda m: given(
            "a report", image_ids=m.images(2), document_ids=[m.document()], auto_save=True
        ),
    ),
    Case(
        "POST /agents/analyze/documents",
        "agent_operations.analyze_documents",
        lambda m: given("key issues", [m.document()]),
    ),
    Case(
        "POST /agents/organize",
        "agent_operations.organize",
        lambda m: given(
            "by color",
            image_ids=m.images(2),
            document_ids=[m.document()],
            video_ids=[m.video().media_id],
            parent_folder_id=m.folder(),
        ),
    ),
    Case(
        "POST /agents/pipeline",
        "pipeline",
        lambda m: given(image_ids=m.images(1), document_ids=[m.document()]),
        begin=_begin,
    ),
)
