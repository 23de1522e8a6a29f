"""What S3 and boto3 answer when something is wrong, as our errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from aion_dagster.errors import (
    CredentialsError,
    FileChangedError,
    FileVanishedError,
    SourceError,
    SourceUnavailableError,
)

_GONE: Final = frozenset(
    {"404", "NoSuchKey", "NotFound", "NoSuchVersion", "405", "MethodNotAllowed"}
)
"""405 is the answer where the version asked for is a mark of deletion."""

_CHANGED: Final = frozenset({"412", "PreconditionFailed", "416", "InvalidRange"})
_CREDENTIALS: Final = {
    "InvalidAccessKeyId": "the access key is not known there",
    "SignatureDoesNotMatch": "the secret key does not fit the access key",
    "ExpiredToken": "the credentials have expired",
    "ExpiredTokenException": "the credentials have expired",
    "TokenRefreshRequired": "the credentials have expired",
    "InvalidToken": "the session token is not valid",
    "InvalidClientTokenId": "the access key is not known there",
    "UnrecognizedClientException": "the access key is not known there",
    "RequestTimeTooSkewed": "the clock of this machine is wrong",
    "AccountProblem": "the account is suspended",
    "AllAccessDisabled": "all access is disabled there",
}
_DENIED: Final = frozenset({"403", "AccessDenied", "Forbidden", "AccessDeniedException"})
_ELSEWHERE: Final = frozenset(
    {
        "301",
        "400",
        "PermanentRedirect",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
    }
)
_BUSY: Final = frozenset(
    {
        "503",
        "500",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "InternalError",
        "ServiceUnavailable",
        "TooManyRequests",
    }
)


@contextmanager
def faults(what: str, *, needs: str, is_file: bool = False) -> Iterator[None]:
    """Raise our errors in place of boto3's.

    Args:
        what: what was asked for, for the message.
        needs: permissions that the request needs.
        is_file: the request was about one object, so a refusal says nothing about the bucket.
    """
    from botocore import exceptions

    try:
        yield
    except exceptions.ClientError as error:
        raise _answered(error, what, needs, is_file) from error
    except (
        exceptions.NoCredentialsError,
        exceptions.PartialCredentialsError,
        exceptions.CredentialRetrievalError,
        exceptions.ProfileNotFound,
        exceptions.TokenRetrievalError,
        exceptions.SSOError,
    ) as error:
        raise CredentialsError(f"{what}: there are no credentials ({error}).") from error
    except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
        raise SourceUnavailableError(f"{what}: cannot be reached ({error}).") from error
    except exceptions.BotoCoreError as error:
        raise SourceError(f"{what}: {error}.") from error


class BrokenTransferError(SourceUnavailableError):
    """An object's bytes broke off on the way."""


@contextmanager
def transfers(what: str) -> Iterator[None]:
    """Raise BrokenTransferError where the body of an answer breaks off."""
    from botocore import exceptions

    try:
        yield
    except (
        exceptions.HTTPClientError,
        exceptions.ConnectionError,
        exceptions.IncompleteReadError,
    ) as error:
        raise BrokenTransferError(f"{what}: the transfer broke off ({error}).") from error


def _answered(error: Any, what: str, needs: str, is_file: bool) -> SourceError:
    """The error for an answer of the service."""
    answer = error.response
    code = str(answer.get("Error", {}).get("Code", ""))
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
    region = _region(answer)
    if code == "NoSuchBucket":
        return SourceError(f"{what}: there is no such bucket.")
    if code == "InvalidObjectState":
        return SourceError(f"{what}: is archived; restore it before it can be read.")
    if is_file and code in _GONE:
        return FileVanishedError(f"{what}: the object is gone.")
    if is_file and code in _CHANGED:
        return FileChangedError(f"{what}: the object changed after it was listed.")
    if code in _CREDENTIALS:
        return CredentialsError(f"{what}: {_CREDENTIALS[code]} ({code}).")
    if code in _ELSEWHERE and region:
        return SourceError(f"{what}: the bucket is in the region {region}; set 'region: {region}'.")
    if code in _DENIED:
        kind = SourceError if is_file else CredentialsError
        return kind(f"{what}: access denied; the credentials need {needs}.")
    if code in _BUSY or status >= 500:
        return SourceUnavailableError(f"{what}: the service is too busy or fails ({code}).")
    return SourceError(f"{what}: {code}: {answer.get('Error', {}).get('Message', error)}")


def _region(answer: Any) -> str | None:
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = answer.get("Error", {}).get("Region") or headers.get("x-amz-bucket-region")
    return str(region) if region else None
