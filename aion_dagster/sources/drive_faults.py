"""What Google answers when it does not do what was asked, as errors that say what to do."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from aion_dagster.errors import (
    CredentialsError,
    FileTooLargeError,
    SourceError,
    SourceUnavailableError,
)

LIMITED: Final = frozenset({"rateLimitExceeded", "userRateLimitExceeded"})
"""Reasons of a 403 that pass with time."""

_REFUSED: Final = {
    "cannotDownloadAbusiveFile": "Google takes the file for malware or spam and does not hand it over",
    "fileNotDownloadable": "the file has no bytes of its own and cannot be downloaded",
    "cannotDownloadFile": "its owner does not let viewers download it",
    "insufficientFilePermissions": "the account may not read it",
    "downloadQuotaExceeded": "it was downloaded too often; Google allows it again within a day",
    "domainPolicy": "the domain's administrators do not allow access by this app",
    "appNotAuthorizedToFile": "the person has not opened the file with this app",
}
"""Reason of a 403 → what it means."""

_ACCOUNT: Final = {
    "insufficientPermissions": "the credentials do not cover reading Drive (scope drive.readonly)",
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT": "the credentials do not cover reading Drive (scope drive.readonly)",
    "accessNotConfigured": "the Drive API is not enabled in the project of the credentials",
    "SERVICE_DISABLED": "the Drive API is not enabled in the project of the credentials",
}
"""Reason of a 403 about the account as a whole → what it means."""


class TransientError(SourceUnavailableError):
    """Something that may be over in a while.

    Attributes:
        retry_after: how long Google asks to wait, in seconds.
        is_failure: Google answered, and failed.
    """

    def __init__(self, message: str, retry_after: float = 0.0, *, is_failure: bool = False) -> None:
        """Say what happened."""
        super().__init__(message)
        self.retry_after = retry_after
        self.is_failure = is_failure


class PageTokenError(SourceError):
    """A page token that Google does not take any more."""


class EntryMissingError(SourceError):
    """There is no such entry, or the account cannot see it; Google does not tell which."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The parts of an error body that matter."""

    status: int
    reason: str
    message: str
    location: str

    @classmethod
    def of(cls, status: int, content: bytes) -> Answer:
        """From a body that may be anything."""
        try:
            error = json.loads(content)["error"]
            first: dict[str, Any] = (error.get("errors") or error.get("details") or [{}])[0]
            words = [str(first.get("reason") or ""), str(error.get("message") or "")]
            return cls(status, words[0], words[1][:300], str(first.get("location") or ""))
        except (ValueError, TypeError, KeyError, AttributeError, IndexError):
            return cls(status, "", "", "")

    def __str__(self) -> str:
        """For messages."""
        return " ".join(filter(None, (str(self.status), self.reason, self.message)))


def error_of(answer: Answer, what: str, retry_after: float = 0.0) -> SourceError:
    """The error for an answer.

    Args:
        answer: what Google said.
        what: what was asked for, such as a file's name.
        retry_after: seconds that Google asks to wait.
    """
    is_limit = answer.status == 429 or (answer.status == 403 and answer.reason in LIMITED)
    if is_limit:
        return TransientError(
            f"{what}: Google Drive limits the rate of requests ({answer}); it goes on when there is room again.",
            retry_after,
        )
    if answer.status >= 500 or answer.status == 408:
        words = f"{what}: Google Drive fails ({answer})."
        return TransientError(words, retry_after, is_failure=True)
    about_token = "pagetoken" in f"{answer.location} {answer.message}".lower().replace(" ", "")
    if answer.status == 410 or (answer.status in (400, 404) and about_token):
        return PageTokenError(f"{what}: the page token is good no more ({answer}).")
    if answer.status == 404:
        return EntryMissingError(f"{what}: is not there, or not shared ({answer}).")
    if answer.status == 401:
        return CredentialsError(f"{what}: Google refuses the credentials ({answer}).")
    if answer.reason in _ACCOUNT:
        return CredentialsError(f"{what}: {_ACCOUNT[answer.reason]} ({answer}).")
    if answer.reason == "dailyLimitExceeded":
        return SourceUnavailableError(
            f"{what}: the project's requests of this day are used up ({answer})."
        )
    if answer.reason == "exportSizeLimitExceeded":
        return FileTooLargeError(
            f"{what}: Google exports documents up to 10 MB, and this one would be larger."
        )
    if answer.reason in _REFUSED:
        return SourceError(f"{what}: {_REFUSED[answer.reason]} ({answer.reason}).")
    return SourceError(f"{what}: Google Drive refuses ({answer}).")
