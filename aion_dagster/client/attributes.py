"""`client.<resource>`: every resource as an attribute, imported and made when it is first used.

Their models take longer to import than everything else of a client together, and most programs use few of them.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from aion_dagster.client.transport import Transport

if TYPE_CHECKING:
    from aion_dagster.client.resources.agent_operations import AgentOperationsResource
    from aion_dagster.client.resources.agent_search import AgentSearchResource
    from aion_dagster.client.resources.api_keys import APIKeysResource
    from aion_dagster.client.resources.audit import AuditResource
    from aion_dagster.client.resources.batch import BatchResource
    from aion_dagster.client.resources.chats import ChatResource
    from aion_dagster.client.resources.cloud_storage import CloudStorageResource
    from aion_dagster.client.resources.colors import ColorsResource
    from aion_dagster.client.resources.data import DataResource
    from aion_dagster.client.resources.datasets import DatasetsResource
    from aion_dagster.client.resources.documents import DocumentsResource
    from aion_dagster.client.resources.files import FilesResource
    from aion_dagster.client.resources.folders import FoldersResource
    from aion_dagster.client.resources.links import LinksResource
    from aion_dagster.client.resources.materials import MaterialsResource
    from aion_dagster.client.resources.settings import SettingsResource
    from aion_dagster.client.resources.tenant import TenantResource
    from aion_dagster.client.resources.uploads import UploadResource
    from aion_dagster.client.resources.usage import UsageResource
    from aion_dagster.client.resources.user import UserResource
    from aion_dagster.client.resources.videos import VideosResource


class AsyncResources:
    """Resources of the asynchronous client."""

    transport: Transport

    @cached_property
    def uploads(self) -> UploadResource:
        """Pictures go up, descriptions come back."""
        from aion_dagster.client.resources.uploads import UploadResource

        return UploadResource(self.transport)

    @cached_property
    def files(self) -> FilesResource:
        """Everything that is stored."""
        from aion_dagster.client.resources.files import FilesResource

        return FilesResource(self.transport)

    @cached_property
    def documents(self) -> DocumentsResource:
        """PDF, DOCX, TXT and MD: text, pieces, search."""
        from aion_dagster.client.resources.documents import DocumentsResource

        return DocumentsResource(self.transport)

    @cached_property
    def links(self) -> LinksResource:
        """Bookmarks with what their pages say of themselves."""
        from aion_dagster.client.resources.links import LinksResource

        return LinksResource(self.transport)

    @cached_property
    def chats(self) -> ChatResource:
        """Conversations about the library."""
        from aion_dagster.client.resources.chats import ChatResource

        return ChatResource(self.transport)

    @cached_property
    def agent_search(self) -> AgentSearchResource:
        """Search by an agent, without a conversation."""
        from aion_dagster.client.resources.agent_search import AgentSearchResource

        return AgentSearchResource(self.transport)

    @cached_property
    def agent_operations(self) -> AgentOperationsResource:
        """Reports, analyses and sorting by an agent."""
        from aion_dagster.client.resources.agent_operations import AgentOperationsResource

        return AgentOperationsResource(self.transport)

    @cached_property
    def folders(self) -> FoldersResource:
        """The tree that files are sorted into."""
        from aion_dagster.client.resources.folders import FoldersResource

        return FoldersResource(self.transport)

    @cached_property
    def colors(self) -> ColorsResource:
        """Main colors of pictures, and search by them."""
        from aion_dagster.client.resources.colors import ColorsResource

        return ColorsResource(self.transport)

    @cached_property
    def materials(self) -> MaterialsResource:
        """Materials in pictures, and search by them."""
        from aion_dagster.client.resources.materials import MaterialsResource

        return MaterialsResource(self.transport)

    @cached_property
    def datasets(self) -> DatasetsResource:
        """Data sets of older servers."""
        from aion_dagster.client.resources.datasets import DatasetsResource

        return DatasetsResource(self.transport)

    @cached_property
    def batch(self) -> BatchResource:
        """Jobs over many pictures."""
        from aion_dagster.client.resources.batch import BatchResource

        return BatchResource(self.transport)

    @cached_property
    def data(self) -> DataResource:
        """What was processed, and exports of it."""
        from aion_dagster.client.resources.data import DataResource

        return DataResource(self.transport)

    @cached_property
    def cloud_storage(self) -> CloudStorageResource:
        """Imports from and exports to a cloud storage."""
        from aion_dagster.client.resources.cloud_storage import CloudStorageResource

        return CloudStorageResource(self.transport)

    @cached_property
    def settings(self) -> SettingsResource:
        """The tenant's own S3 bucket."""
        from aion_dagster.client.resources.settings import SettingsResource

        return SettingsResource(self.transport)

    @cached_property
    def tenant(self) -> TenantResource:
        """The tenant, its members and limits."""
        from aion_dagster.client.resources.tenant import TenantResource

        return TenantResource(self.transport)

    @cached_property
    def audit(self) -> AuditResource:
        """Who did what."""
        from aion_dagster.client.resources.audit import AuditResource

        return AuditResource(self.transport)

    @cached_property
    def usage(self) -> UsageResource:
        """What was used and paid."""
        from aion_dagster.client.resources.usage import UsageResource

        return UsageResource(self.transport)

    @cached_property
    def api_keys(self) -> APIKeysResource:
        """Keys of the API."""
        from aion_dagster.client.resources.api_keys import APIKeysResource

        return APIKeysResource(self.transport)

    @cached_property
    def user(self) -> UserResource:
        """The person behind the key."""
        from aion_dagster.client.resources.user import UserResource

        return UserResource(self.transport)

    @cached_property
    def videos(self) -> VideosResource:
        """Videos: uploads in pieces, analyses, scenes."""
        from aion_dagster.client.resources.videos import VideosResource

        return VideosResource(self.transport)
