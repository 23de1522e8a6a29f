"""Analyses of videos and the scenes that they find."""

from __future__ import annotations

from collections.abc import Callable

from aion_dagster.client import limits
from aion_dagster.client.calls import Call
from aion_dagster.client.models.videos import (
    AnalysisType,
    QueueAnalysisResult,
    RetryAnalysisResult,
    VideoAnalysisStatus,
    VideoSceneList,
)
from aion_dagster.client.resources.base import until
from aion_dagster.client.resources.video_uploads import (
    PRIORITIES,
    VideoUploadsResource,
    check_analysis,
)
from aion_dagster.client.retrying import Repeat

_REASON = 500


class VideoAnalysisResource(VideoUploadsResource):
    """Have videos analysed, and see what came of it."""

    async def get_analysis_job(self, analysis_job_id: str) -> VideoAnalysisStatus:
        """How far an analysis is."""
        return await self._ask(
            VideoAnalysisStatus,
            "GET /video-analysis/jobs/{analysis_job_id}",
            ids={"analysis_job_id": analysis_job_id},
        )

    async def get_analysis_status(self, media_id: str) -> VideoAnalysisStatus:
        """How far the latest analysis of a video is."""
        return await self._ask(
            VideoAnalysisStatus,
            "GET /video-analysis/status/{media_id}",
            ids={"media_id": media_id},
        )

    async def retry_analysis(
        self, analysis_job_id: str, media_id: str, *, reason: str | None = None
    ) -> RetryAnalysisResult:
        """Begin an analysis that failed or was cancelled anew; `reason` has at most 500 characters."""
        limits.check_text("reason", reason, _REASON)
        return await self._ask(
            RetryAnalysisResult,
            "POST /video-analysis/jobs/{analysis_job_id}/retry",
            ids={"analysis_job_id": analysis_job_id},
            body={"media_id": media_id, "reason": reason},
            repeat=Repeat.ANSWERED,
        )

    async def queue_analysis(
        self,
        media_id: str,
        *,
        analysis_type: AnalysisType | str = AnalysisType.FULL_VLM,
        priority: str = "normal",
    ) -> QueueAnalysisResult:
        """Have a video analysed, which costs; `priority` is low, normal or high."""
        check_analysis(None, None, analysis_type)
        limits.check_word("priority", priority, PRIORITIES)
        return await self._ask(
            QueueAnalysisResult,
            "POST /video-analysis/queue",
            body={"media_id": media_id, "analysis_type": analysis_type, "priority": priority},
            repeat=Repeat.ANSWERED,
        )

    async def wait_for_analysis(
        self,
        analysis_job_id: str,
        *,
        timeout: float | None = None,
        on_progress: Callable[[VideoAnalysisStatus], None] | None = None,
    ) -> VideoAnalysisStatus:
        """Look until an analysis is over, however it ends (`status`, `error_message`).

        Raises:
            AionvisionTimeoutError: not over after `timeout` seconds (by default the client's `polling_timeout`);
                `last_result` is its state.
        """
        return await until(
            lambda: self.get_analysis_job(analysis_job_id),
            lambda job: job.status.is_over,
            self._runtime,
            what=f"video analysis {analysis_job_id}",
            interval=self._config.polling_interval,
            timeout=self._config.polling_timeout if timeout is None else timeout,
            on_look=on_progress,
        )

    async def list_scenes(self, video_id: str) -> VideoSceneList:
        """The scenes of a video, in its order."""
        return await self._ask(
            VideoSceneList, "GET /videos/{video_id}/scenes", ids={"video_id": video_id}
        )

    async def get_scene_thumbnail(self, scene_id: str) -> bytes:
        """A JPEG from the middle of a scene."""
        return await self._transport.content(
            Call("GET /video-scenes/{scene_id}/thumbnail", ids={"scene_id": scene_id})
        )
