"""Calls of Google's client library: connections, tokens, and patience with limits and failures."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from queue import Empty, LifoQueue
from typing import Any, Final, TypeVar

import tenacity

from aion_dagster.errors import CredentialsError, UnavailableError
from aion_dagster.sources.drive_access import MISSING_EXTRA, DriveAccess, owner
from aion_dagster.sources.drive_faults import Answer, TransientError, error_of

LONGEST_PAUSE: Final = 64.0
"""Seconds between two tries, at most."""

T = TypeVar("T")


@dataclass
class DriveCalls:
    """Makes requests, each until it is answered, refused, or not worth waiting for any longer.

    Safe for several threads: a connection belongs to one request at a time.

    Attributes:
        access: the credentials; they are loaded with the first request.
        api_endpoint: another address of the API than Google's.
        attempts: tries of a request, the first included.
        backoff_seconds: the first pause is up to this long, each further one up to twice the one before.
        timeout_seconds: how long to wait for an answer.
    """

    access: DriveAccess
    api_endpoint: str = ""
    attempts: int = 8
    backoff_seconds: float = 1.0
    timeout_seconds: float = 60.0
    _idle: LifoQueue[Any] = field(default_factory=LifoQueue, repr=False)
    _guard: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _credentials: Any = field(default=None, repr=False)

    @property
    def owner(self) -> str:
        """Who the credentials speak for, as far as is known."""
        return owner(self._credentials)

    def ask(self, request: Any, what: str, deadline: float | None = None) -> dict[str, Any]:
        """The JSON object that answers a request of Google's client library; see `repeat`."""

        def call(connection: Any) -> dict[str, Any]:
            answer = request.execute(http=connection)
            if isinstance(answer, dict):
                return answer
            # The library hands on what it cannot read.
            raise TransientError(f"{what}: Google Drive sent something else than JSON.")

        return self.repeat(call, what, deadline)

    def repeat(self, call: Callable[[Any], T], what: str, deadline: float | None = None) -> T:
        """What `call` returns, given an authorized connection; repeated while Google limits or fails.

        Args:
            call: makes one request; making it again does no harm.
            what: what it asks for, for messages.
            deadline: a moment of `time.monotonic()`; no pause goes beyond it.

        Raises:
            TransientError: it was tried often enough, or the deadline is too close for another try.
            CredentialsError: Google refuses the credentials.
            SourceError: it refuses the request; several more precise ones in `drive_faults`.
        """
        jitter = tenacity.wait_random_exponential(
            multiplier=self.backoff_seconds, max=LONGEST_PAUSE
        )

        def wait(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.retry_after if isinstance(error, TransientError) else 0.0
            return max(float(jitter(state)), asked)

        def is_enough(state: tenacity.RetryCallState) -> bool:
            late = deadline is not None and time.monotonic() + state.upcoming_sleep >= deadline
            return late or state.attempt_number >= self.attempts

        tries = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TransientError),
            wait=wait,
            stop=is_enough,
            reraise=True,
        )
        answer: T = tries(self._once, call, what)
        return answer

    def _once(self, call: Callable[[Any], T], what: str) -> T:
        from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError
        from googleapiclient.errors import HttpError
        from httplib2 import HttpLib2Error

        try:
            with self._borrowed() as connection:
                return call(connection)
        except HttpError as error:
            answer = Answer.of(int(error.resp.status), error.content)
            raise error_of(answer, what, _seconds(error.resp.get("retry-after"))) from None
        except TransportError:
            raise TransientError(f"{what}: Google's sign-in cannot be reached.") from None
        except RefreshError as error:
            # Only the words: the rest of it is the body of the answer.
            words = str(error.args[0])[:200] if error.args else "no reason given"
            if error.retryable:
                raise TransientError(f"{what}: Google's sign-in fails ({words}).") from None
            raise CredentialsError(
                f"{what}: Google refuses the credentials of {self.owner} ({words}). Grant access anew, or name other "
                "credentials; the listing then goes on where it stopped."
            ) from None
        except GoogleAuthError:
            raise CredentialsError(f"{what}: the credentials cannot be used.") from None
        except (OSError, http.client.HTTPException, HttpLib2Error) as error:
            raise TransientError(
                f"{what}: Google Drive cannot be reached ({type(error).__name__})."
            ) from None

    @contextmanager
    def _borrowed(self) -> Iterator[Any]:
        """An authorized connection that nobody else uses meanwhile."""
        with self._guard:
            if self._credentials is None:
                self._credentials = self.access.load()
        try:
            connection = self._idle.get_nowait()
        except Empty:
            connection = _connection(self._credentials, self.timeout_seconds)
        try:
            with self._guard:
                # One thread fetches the token, the others wait for it.
                if not self._credentials.valid:
                    self._credentials.refresh(_token_request(connection))
            yield connection
        except (OSError, http.client.HTTPException):
            connection.close()
            raise
        finally:
            self._idle.put(connection)


@cache
def described(api_endpoint: str) -> tuple[Any, Any]:
    """The methods of files and of changes, from which requests are made.

    Google's library makes them, and their documentation, from a description in the installed package: that takes as
    long as twenty requests.

    Raises:
        UnavailableError: the extra `drive` is not installed.
    """
    try:
        import httplib2
        from google.api_core.client_options import ClientOptions
        from googleapiclient import discovery
    except ImportError as error:
        raise UnavailableError(MISSING_EXTRA) from error
    service = discovery.build(
        "drive",
        "v3",
        http=httplib2.Http(),
        static_discovery=True,
        client_options=ClientOptions(api_endpoint=api_endpoint or None),
    )
    return service.files(), service.changes()


def _connection(credentials: Any, timeout_seconds: float) -> Any:
    import google_auth_httplib2
    import httplib2

    plain = httplib2.Http(timeout=timeout_seconds)
    return google_auth_httplib2.AuthorizedHttp(credentials, http=plain)


def _token_request(connection: Any) -> Any:
    import google_auth_httplib2

    return google_auth_httplib2.Request(connection.http)


def _seconds(text: object) -> float:
    """A Retry-After in seconds; dates are not used by this API."""
    try:
        return max(float(str(text)), 0.0)
    except ValueError:
        return 0.0
