"""`client.<resource>` of the blocking client: every resource as an attribute, imported and made when it is first used."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from aion_dagster.client.transport import Transport

if TYPE_CHECKING:
    from aion_dagster.client.resources.agent_operations import SyncAgentOperationsResource
    from aion_dagster.client.resources.agent_search import SyncAgentSearchResource
    from aion_dagster.client.resources.api_keys import SyncAPIKeysResource
    from aion_dagster.client.resources.audit import SyncAuditResource
    from aion_dagster.client.resources.batch import SyncBatchResource
    from aion_dagster.client.resources.chats import SyncChatResource
    from aion_dagster.client.resources.cloud_storage import SyncCloudStorageResource
    from aion_dagster.client.resources.colors import SyncColorsResource
    from aion_dagster.client.resources.data import SyncDataResource
    from aion_dagster.client.resources.datasets import SyncDatasetsResource
    from aion_dagster.client.resources.documents import SyncDocumentsResource
    from aion_dagster.client.resources.files import SyncFilesResource
    from aion_dagster.client.resources.folders import SyncFoldersResource
    from aion_dagster.client.resources.links import SyncLinksResource
    from aion_dagster.client.resources.materials import SyncMaterialsResource
    from aion_dagster.client.resources.settings import SyncSettingsResource
    from aion_dagster.client.resources.tenant import SyncTenantResource
    from aion_dagster.client.resources.uploads import SyncUploadResource
    from aion_dagster.client.resources.usage import SyncUsageResource
    from aion_dagster.client.resources.user import SyncUserResource
    from aion_dagster.client.resources.videos import SyncVideosResource


class SyncResources:
    """Resources of the blocking client."""

    transport: Transport

    @cached_property
    def uploads(self) -> SyncUploadResource:
        """Pictures go up, descriptions come back."""
        from aion_dagster.client.resources.uploads import SyncUploadResource, UploadResource

        return SyncUploadResource(UploadResource(self.transport))

    @cached_property
    def files(self) -> SyncFilesResource:
        """Everything that is stored."""
        from aion_dagster.client.resources.files import FilesResource, SyncFilesResource

        return SyncFilesResource(FilesResource(self.transport))

    @cached_property
    def documents(self) -> SyncDocumentsResource:
        """PDF, DOCX, TXT and MD: text, pieces, search."""
        from aion_dagster.client.resources.documents import DocumentsResource, SyncDocumentsResource

        return SyncDocumentsResource(DocumentsResource(self.transport))

    @cached_property
    def links(self) -> SyncLinksResource:
        """Bookmarks with what their pages say of themselves."""
        from aion_dagster.client.resources.links import LinksResource, SyncLinksResource

        return SyncLinksResource(LinksResource(self.transport))

    @cached_property
    def chats(self) -> SyncChatResource:
        """Conversations about the library."""
        from aion_dagster.client.resources.chats import ChatResource, SyncChatResource

        return SyncChatResource(ChatResource(self.transport))

    @cached_property
    def agent_search(self) -> SyncAgentSearchResource:
        """Search by an agent, without a conversation."""
        from aion_dagster.client.resources.agent_search import (
            AgentSearchResource,
            SyncAgentSearchResource,
        )

        return SyncAgentSearchResource(AgentSearchResource(self.transport))

    @cached_property
    def agent_operations(self) -> SyncAgentOperationsResource:
        """Reports, analyses and sorting by an agent."""
        from aion_dagster.client.resources.agent_operations import (
            AgentOperationsResource,
            SyncAgentOperationsResource,
        )

        return SyncAgentOperationsResource(AgentOperationsResource(self.transport))

    @cached_property
    def folders(self) -> SyncFoldersResource:
        """The tree that files are sorted into."""
        from aion_dagster.client.resources.folders import FoldersResource, SyncFoldersResource

        return SyncFoldersResource(FoldersResource(self.transport))

    @cached_property
    def colors(self) -> SyncColorsResource:
        """Main colors of pictures, and search by them."""
        from aion_dagster.client.resources.colors import ColorsResource, SyncColorsResource

        return SyncColorsResource(ColorsResource(self.transport))

    @cached_property
    def materials(self) -> SyncMaterialsResource:
        """Materials in pictures, and search by them."""
        from aion_dagster.client.resources.materials import MaterialsResource, SyncMaterialsResource

        return SyncMaterialsResource(MaterialsResource(self.transport))

    @cached_property
    def datasets(self) -> SyncDatasetsResource:
        """Data sets of older servers."""
        from aion_dagster.client.resources.datasets import DatasetsResource, SyncDatasetsResource

        return SyncDatasetsResource(DatasetsResource(self.transport))

    @cached_property
    def batch(self) -> SyncBatchResource:
        """Jobs over many pictures."""
        from aion_dagster.client.resources.batch import BatchResource, SyncBatchResource

        return SyncBatchResource(BatchResource(self.transport))

    @cached_property
    def data(self) -> SyncDataResource:
        """What was processed, and exports of it."""
        from aion_dagster.client.resources.data import DataResource, SyncDataResource

        return SyncDataResource(DataResource(self.transport))

    @cached_property
    def cloud_storage(self) -> SyncCloudStorageResource:
        """Imports from and exports to a cloud storage."""
        from aion_dagster.client.resources.cloud_storage import (
            CloudStorageResource,
            SyncCloudStorageResource,
        )

        return SyncCloudStorageResource(CloudStorageResource(self.transport))

    @cached_property
    def settings(self) -> SyncSettingsResource:
        """The tenant's own S3 bucket."""
        from aion_dagster.client.resources.settings import SettingsResource, SyncSettingsResource

        return SyncSettingsResource(SettingsResource(self.transport))

    @cached_property
    def tenant(self) -> SyncTenantResource:
        """The tenant, its members and limits."""
        from aion_dagster.client.resources.tenant import SyncTenantResource, TenantResource

        return SyncTenantResource(TenantResource(self.transport))

    @cached_property
    def audit(self) -> SyncAuditResource:
        """Who did what."""
        from aion_dagster.client.resources.audit import AuditResource, SyncAuditResource

        return SyncAuditResource(AuditResource(self.transport))

    @cached_property
    def usage(self) -> SyncUsageResource:
        """What was used and paid."""
        from aion_dagster.client.resources.usage import SyncUsageResource, UsageResource

        return SyncUsageResource(UsageResource(self.transport))

    @cached_property
    def api_keys(self) -> SyncAPIKeysResource:
        """Keys of the API."""
        from aion_dagster.client.resources.api_keys import APIKeysResource, SyncAPIKeysResource

        return SyncAPIKeysResource(APIKeysResource(self.transport))

    @cached_property
    def user(self) -> SyncUserResource:
        """The person behind the key."""
        from aion_dagster.client.resources.user import SyncUserResource, UserResource

        return SyncUserResource(UserResource(self.transport))

    @cached_property
    def videos(self) -> SyncVideosResource:
        """Videos: uploads in pieces, analyses, scenes."""
        from aion_dagster.client.resources.videos import SyncVideosResource, VideosResource

        return SyncVideosResource(VideosResource(self.transport))
