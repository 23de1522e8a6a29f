"""`client.agent_operations`: agents that write, analyze and put in order, without a chat."""

from __future__ import annotations

from collections.abc import Sequence

from aion_dagster.client import limits
from aion_dagster.client.identifiers import maybe_ids, some_ids
from aion_dagster.client.models.agents import (
    DocumentAnalysisResult,
    OrganizeResult,
    SynthesizeResult,
)
from aion_dagster.client.resources.base import Resource
from aion_dagster.client.retrying import Repeat
from aion_dagster.client.synchronous import SyncResource, blocking


class AgentOperationsResource(Resource):
    """Work in plain words; each call is paid for by its tokens, so one whose answer was lost is not made again."""

    async def synthesize(
        self,
        intent: str,
        *,
        image_ids: Sequence[str] | None = None,
        document_ids: Sequence[str] | None = None,
        auto_save: bool = False,
    ) -> SynthesizeResult:
        """A report on pictures and documents.

        Args:
            intent: what to write, 1 to 2,000 characters.
            image_ids: pictures that it is about.
            document_ids: documents that it is about.
            auto_save: save it as a document; then nothing is tried again, since there might be two.
        """
        limits.check_text("intent", intent, limits.INTENT, 1)
        return await self._ask(
            SynthesizeResult,
            "POST /agents/synthesize",
            body={
                "intent": intent,
                "image_ids": maybe_ids("image_ids", image_ids),
                "document_ids": maybe_ids("document_ids", document_ids),
                "auto_save": auto_save,
            },
            repeat=Repeat.REFUSED if auto_save else Repeat.ANSWERED,
        )

    async def analyze_documents(
        self, intent: str, document_ids: Sequence[str]
    ) -> DocumentAnalysisResult:
        """An analysis of at least one document: a summary, a comparison, a categorization.

        Args:
            intent: what to find out, 1 to 2,000 characters.
            document_ids: the documents.
        """
        limits.check_text("intent", intent, limits.INTENT, 1)
        return await self._ask(
            DocumentAnalysisResult,
            "POST /agents/analyze/documents",
            body={"intent": intent, "document_ids": some_ids("document_ids", document_ids)},
            repeat=Repeat.ANSWERED,
        )

    async def organize(
        self,
        intent: str,
        *,
        image_ids: Sequence[str] | None = None,
        document_ids: Sequence[str] | None = None,
        parent_folder_id: str | None = None,
        video_ids: Sequence[str] | None = None,
    ) -> OrganizeResult:
        """Put files into folders; never tried again once it may have begun.

        Args:
            intent: by what, 1 to 2,000 characters.
            image_ids: pictures to move.
            document_ids: documents to move.
            parent_folder_id: where new folders are made.
            video_ids: videos to move.
        """
        limits.check_text("intent", intent, limits.INTENT, 1)
        return await self._ask(
            OrganizeResult,
            "POST /agents/organize",
            body={
                "intent": intent,
                "image_ids": maybe_ids("image_ids", image_ids),
                "document_ids": maybe_ids("document_ids", document_ids),
                "video_ids": maybe_ids("video_ids", video_ids),
                "parent_folder_id": parent_folder_id,
            },
            repeat=Repeat.REFUSED,
        )


class SyncAgentOperationsResource(SyncResource[AgentOperationsResource]):
    """The same, blocking."""

    synthesize = blocking(AgentOperationsResource.synthesize)
    analyze_documents = blocking(AgentOperationsResource.analyze_documents)
    organize = blocking(AgentOperationsResource.organize)
