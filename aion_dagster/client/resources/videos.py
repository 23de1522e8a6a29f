"""`client.videos`: uploads in chunks, analyses, scenes."""

from __future__ import annotations

from aion_dagster.client.resources.video_sending import VideoSending
from aion_dagster.client.synchronous import SyncResource, blocking


class VideosResource(VideoSending):
    """Send videos, have them analysed, look at their scenes."""


class SyncVideosResource(SyncResource[VideosResource]):
    """The same, blocking."""

    upload = blocking(VideosResource.upload)
    initiate = blocking(VideosResource.initiate)
    initiate_batch = blocking(VideosResource.initiate_batch)
    confirm_chunk = blocking(VideosResource.confirm_chunk)
    retry_chunk = blocking(VideosResource.retry_chunk)
    complete = blocking(VideosResource.complete)
    abort = blocking(VideosResource.abort)
    get_progress = blocking(VideosResource.get_progress)
    get_analysis_job = blocking(VideosResource.get_analysis_job)
    get_analysis_status = blocking(VideosResource.get_analysis_status)
    retry_analysis = blocking(VideosResource.retry_analysis)
    queue_analysis = blocking(VideosResource.queue_analysis)
    wait_for_analysis = blocking(VideosResource.wait_for_analysis)
    list_scenes = blocking(VideosResource.list_scenes)
    get_scene_thumbnail = blocking(VideosResource.get_scene_thumbnail)
