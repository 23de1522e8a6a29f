"""Clients of S3 and SQS, as a source's configuration wants them; credentials come from the usual chain."""

from __future__ import annotations

import os
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.utils import parse_timestamp
from dagster_aws.s3 import S3Resource

from aion_dagster.errors import CredentialsError, SourceError
from aion_dagster.resources.listings import read_listings
from aion_dagster.source_configs import S3SourceConfig

_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_CONNECT_SECONDS = 10
_READ_SECONDS = 60
_CONNECTIONS = 32
"""At once: the decode pass reads eight files side by side, in several assets."""


class BucketResource(S3Resource):
    """dagster-aws' `S3Resource` with limits of time, retries that slow down, and the bucket in the path where asked."""

    path_style: bool = False

    def get_client(self) -> Any:
        """A client of boto3, which threads may share."""
        client = self.session().client(
            "s3",
            region_name=self.region_name,
            endpoint_url=self.endpoint_url,
            use_ssl=self.use_ssl,
            verify=self.verify,
            config=self._settings(s3={"addressing_style": "path" if self.path_style else "auto"}),
        )
        read_listings(client, _moment)
        return client

    def get_queue_client(self, queue_url: str) -> Any:
        """A client for the queue at this address, in the region that the address names."""
        parts = urlsplit(queue_url)
        labels = (parts.hostname or "").split(".")
        is_aws = labels[0] == "sqs" and "amazonaws" in labels
        return self.session().client(
            "sqs",
            region_name=labels[1] if is_aws else self.region_name,
            endpoint_url=None if is_aws else f"{parts.scheme}://{parts.netloc}",
            config=self._settings(),
        )

    def session(self) -> boto3.session.Session:
        """A session with the profile and the keys that were given."""
        core = botocore.session.Session(profile=self.profile_name)
        parsers = core.get_component("response_parser_factory")
        parsers.set_parser_defaults(timestamp_parser=_moment)
        return boto3.session.Session(
            botocore_session=core,
            aws_access_key_id=self.aws_access_key_id,
            aws_secret_access_key=self.aws_secret_access_key,
            aws_session_token=self.aws_session_token,
        )

    def _settings(self, **more: Any) -> Config:
        if self.use_unsigned_session:
            more["signature_version"] = UNSIGNED
        return Config(
            retries={
                "mode": os.environ.get("AWS_RETRY_MODE", "standard"),
                "max_attempts": int(os.environ.get("AWS_MAX_ATTEMPTS", self.max_attempts)),
            },
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            max_pool_connections=_CONNECTIONS,
            **more,
        )


def _moment(text: str) -> datetime:
    """A time in an answer. The parser for all formats takes three quarters of the time that a listing takes."""
    try:
        return datetime.fromisoformat(text)
    except (ValueError, TypeError):
        moment: datetime = parse_timestamp(text)
        return moment


def bucket_clients(config: S3SourceConfig) -> tuple[Any, Any | None]:
    """A client for the bucket of a source, and one for its queue where it has one.

    Raises:
        CredentialsError: there is no such profile.
        SourceError: boto3 does not take the settings.
    """
    # Services beside AWS seldom have a host name for each bucket.
    elsewhere = config.endpoint_url or next(filter(None, map(os.environ.get, _ENDPOINTS)), None)
    resource = BucketResource(
        region_name=config.region,
        endpoint_url=elsewhere,
        profile_name=config.profile,
        use_unsigned_session=config.anonymous,
        path_style=bool(elsewhere) if config.path_style is None else config.path_style,
    )
    try:
        return _clients(resource.model_dump_json(), config.queue_url, os.getpid())
    except BotoCoreError as error:
        kind = CredentialsError if "profile" in str(error).lower() else SourceError
        raise kind(f"source {config.place}: {error}.") from error


@lru_cache(maxsize=16)
def _clients(settings: str, queue_url: str | None, _process: int) -> tuple[Any, Any | None]:
    """One pair per process: making a client takes longer than many requests, and a forked one must not be shared."""
    resource = BucketResource.model_validate_json(settings)
    return resource.get_client(), resource.get_queue_client(queue_url) if queue_url else None
