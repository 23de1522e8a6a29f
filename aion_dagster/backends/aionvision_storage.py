"""A bucket of one's own behind the Aionvision platform, made known to it before the first upload goes there."""

from __future__ import annotations

import os

from aion_dagster.backends.aionvision import AionvisionBackend
from aion_dagster.client import AionVision
from aion_dagster.client.models.settings import S3ConfigStatus
from aion_dagster.engines import AionvisionConfig, CustomStorageConfig
from aion_dagster.errors import ConfigError


def prepare_storage(backend: AionvisionBackend) -> None:
    """See to it that the account has the bucket that uploads with `storage_target: custom` go to.

    An account that has none is given the configured one, with credentials from the environment. A bucket that the
    account has already is never replaced: others may use it.

    Raises:
        ConfigError: no bucket is configured, or another one than the account has, or the platform cannot use it, or a
            variable that should hold a credential is not set.
        UnavailableError: the platform refuses the key or the bucket, or cannot be reached at all.
    """
    config = backend.config
    if config.storage_target != "custom":
        return

    async def ask(client: AionVision) -> None:
        status = await client.settings.get_custom_s3_status()
        if status.configured:
            _check(status, config.custom_storage)
            return
        wanted, access, secret = _credentials(config)
        await client.settings.configure_custom_s3(access, secret, wanted.bucket, wanted.region)

    backend.ask(ask)


def _check(status: S3ConfigStatus, wanted: CustomStorageConfig | None) -> None:
    if wanted is not None and status.bucket_name not in (None, wanted.bucket):
        raise ConfigError(
            f"aionvision.custom_storage: the account's bucket is {status.bucket_name!r}, not {wanted.bucket!r}; "
            "remove it there (client.settings.remove_custom_s3) if this library may change it"
        )
    if status.is_validated is False:
        raise ConfigError(
            f"aionvision.storage_target: the platform cannot use the account's bucket: {status.error or 'no reason given'}"
        )


def _credentials(config: AionvisionConfig) -> tuple[CustomStorageConfig, str, str]:
    wanted = config.custom_storage
    if wanted is None:
        raise ConfigError(
            "aionvision.storage_target: the account has no bucket of its own; name one in aionvision.custom_storage"
        )
    names = (wanted.access_key_id_env, wanted.secret_access_key_env)
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        raise ConfigError(
            f"aionvision.custom_storage: the environment variable {missing[0]} is not set"
        )
    return wanted, os.environ[names[0]], os.environ[names[1]]
