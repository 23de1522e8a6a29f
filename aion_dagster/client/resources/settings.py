"""`client.settings`: a bucket of one's own."""

from __future__ import annotations

from typing import Any, Final

from pydantic import SecretStr

from aion_dagster.client import limits
from aion_dagster.client.errors import AionvisionError
from aion_dagster.client.models.replies import REPLY
from aion_dagster.client.models.settings import S3ConfigStatus, S3ValidationResult
from aion_dagster.client.resources.base import Resource
from aion_dagster.client.scrubbing import scrubbed
from aion_dagster.client.synchronous import SyncResource, blocking

ACCESS_KEY: Final = (16, 128)
SECRET_KEY: Final = (20, 128)
BUCKET: Final = (3, 63)


class SettingsResource(Resource):
    """Where uploads with `storage_target="custom"` go; needs the role of an administrator."""

    async def configure_custom_s3(
        self,
        access_key_id: str | SecretStr,
        secret_access_key: str | SecretStr,
        bucket_name: str,
        region: str,
    ) -> S3ConfigStatus:
        """Have the server check that it can write to a bucket, and use it.

        Args:
            access_key_id: 16 to 128 characters.
            secret_access_key: 20 to 128 characters.
            bucket_name: 3 to 63 characters.
            region: us-east-1 …

        Raises:
            ValidationError: the server cannot use the bucket; neither of the keys is in any error.
        """
        access, secret = _revealed(access_key_id), _revealed(secret_access_key)
        limits.check_text("access_key_id", access, ACCESS_KEY[1], ACCESS_KEY[0])
        limits.check_text("secret_access_key", secret, SECRET_KEY[1], SECRET_KEY[0])
        limits.check_text("bucket_name", bucket_name, BUCKET[1], BUCKET[0])
        if not region:
            raise limits.refuse("region", "is empty")
        try:
            return await self._ask(
                S3ConfigStatus,
                "POST /tenant/s3-config",
                body={
                    "access_key_id": access,
                    "secret_access_key": secret,
                    "bucket_name": bucket_name,
                    "region": region,
                },
            )
        except AionvisionError as error:
            # A server that refuses a body may send it back.
            raise scrubbed(error, secret, access) from None

    async def get_custom_s3_status(self) -> S3ConfigStatus:
        """Whether a bucket is configured, and which."""
        return await self._ask(S3ConfigStatus, "GET /tenant/s3-config")

    async def remove_custom_s3(self) -> dict[str, Any]:
        """Let uploads go to the vendor's storage again; what is in the bucket stays."""
        return await self._ask(REPLY, "DELETE /tenant/s3-config")

    async def validate_custom_s3(self) -> S3ValidationResult:
        """Try the stored credentials; nothing is changed."""
        return await self._ask(S3ValidationResult, "POST /tenant/s3-config/validate")


class SyncSettingsResource(SyncResource[SettingsResource]):
    """The same, blocking."""

    configure_custom_s3 = blocking(SettingsResource.configure_custom_s3)
    get_custom_s3_status = blocking(SettingsResource.get_custom_s3_status)
    remove_custom_s3 = blocking(SettingsResource.remove_custom_s3)
    validate_custom_s3 = blocking(SettingsResource.validate_custom_s3)


def _revealed(secret: str | SecretStr) -> str:
    return secret.get_secret_value() if isinstance(secret, SecretStr) else secret
