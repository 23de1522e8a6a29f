"""What can go wrong with the API: one class per kind, each with the server's code, words and request id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class AionvisionError(Exception):
    """Base of every error of this client.

    Attributes:
        message: what happened, in words; never holds the API key.
        code: the server's own code, or one of this client's, in capitals; None where there is none.
        details: what the server said beyond that.
        request_id: what the vendor's support asks for.
        status: the HTTP status; None where no answer came.
        begun: whether the server may have worked on the request, or on an earlier try of it.
    """

    begun: bool = True

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        details: Mapping[str, Any] | None = None,
        request_id: str | None = None,
        status: int | None = None,
    ) -> None:
        """Keep what is known."""
        super().__init__(message)
        self.message = message
        self.code = code
        self.details: dict[str, Any] = dict(details or {})
        self.request_id = request_id
        self.status = status

    def __str__(self) -> str:
        """The message, then code and request id where there are any."""
        marks = [
            m for m in (self.code, f"request {self.request_id}" if self.request_id else None) if m
        ]
        return f"{self.message} [{', '.join(marks)}]" if marks else self.message


class AuthenticationError(AionvisionError):
    """401: the key is missing, wrong or expired."""

    begun = False


class AionvisionPermissionError(AionvisionError):
    """403: the key may not do this."""

    begun = False


class ResourceNotFoundError(AionvisionError):
    """404: there is no such thing, or this server does not offer it."""

    begun = False


class ConflictError(AionvisionError):
    """409: something else is under way or there already; never tried again blindly."""


class ValidationError(AionvisionError):
    """400 or 422, or refused before sending: `details["field"]` names the field where one is at fault."""

    begun = False


class RateLimitError(AionvisionError):
    """429: too many requests.

    Attributes:
        retry_after: seconds to wait; None where the server did not say.
        limit: requests allowed in the window.
        remaining: requests left in it.
        reset: when the window ends, seconds since 1970.
    """

    begun = False

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        limit: int | None = None,
        remaining: int | None = None,
        reset: float | None = None,
        **known: Any,
    ) -> None:
        """Keep what is known."""
        super().__init__(message, **known)
        self.retry_after = retry_after
        self.limit = limit
        self.remaining = remaining
        self.reset = reset


class QuotaExceededError(AionvisionError):
    """402, 413, 507 or 429 with a quota's code: final until the quota changes.

    Attributes:
        partial_results: what did finish.
    """

    begun = False

    def __init__(self, message: str, *, partial_results: Sequence[Any] = (), **known: Any) -> None:
        """Keep what is known."""
        super().__init__(message, **known)
        self.partial_results = list(partial_results)


class ServerError(AionvisionError):
    """5xx: the server failed."""


class InvalidResponseError(ServerError):
    """The answer is not what the API promises: no JSON, cut short, of wrong types, or without end."""


class AionvisionTimeoutError(AionvisionError):
    """The server did not answer in time, or something did not end in time.

    Attributes:
        last_result: the last state that was seen; None where there was none.
    """

    def __init__(self, message: str, *, last_result: Any = None, **known: Any) -> None:
        """Keep what is known."""
        super().__init__(message, **known)
        self.last_result = last_result


class AionvisionConnectionError(AionvisionError):
    """The server was not reached, or the connection broke.

    Attributes:
        sent: whether the server may have received the request.
    """

    def __init__(self, message: str, *, sent: bool = True, **known: Any) -> None:
        """Keep what is known."""
        super().__init__(message, **known)
        self.sent = self.begun = sent


class CircuitBreakerError(AionvisionError):
    """The server failed so often in a row that nobody asks it for a while.

    Attributes:
        retry_after: seconds until it is asked again.
    """

    begun = False

    def __init__(self, message: str, *, retry_after: float, **known: Any) -> None:
        """Keep what is known."""
        super().__init__(message, **known)
        self.retry_after = retry_after


class UploadError(AionvisionError):
    """An upload failed.

    Attributes:
        session_id: the upload session, to look at it later; None where there was none.
        partial_results: what did finish.
    """

    def __init__(
        self,
        message: str,
        *,
        session_id: str | None = None,
        partial_results: Sequence[Any] = (),
        **known: Any,
    ) -> None:
        """Keep what is known."""
        super().__init__(message, **known)
        self.session_id = session_id
        self.partial_results = list(partial_results)


class DescriptionError(AionvisionError):
    """A picture could not be described."""


class DocumentProcessingError(AionvisionError):
    """A document could not be processed."""


class ChatError(AionvisionError):
    """A chat failed."""


class ChatQuotaExceededError(ChatError, QuotaExceededError):
    """A chat ended, or said nothing, because a quota is used up: final until it changes."""


class BatchError(AionvisionError):
    """A batch failed."""


class CloudStorageError(AionvisionError):
    """An import from or export to a cloud storage failed."""


class SSEStreamError(AionvisionError):
    """A stream of events broke off or holds what cannot be understood."""
