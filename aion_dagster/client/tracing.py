"""OpenTelemetry spans around requests, where they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

from aion_dagster.client.errors import AionvisionError


class Tracer(Protocol):
    """Opens a span around an operation."""

    def span(self, operation: str, host: str) -> AbstractContextManager[Any]:
        """`operation` as the API names it, with its placeholders: no ids, no content."""
        ...


class NoTracer:
    """Opens none."""

    def span(self, _operation: str, _host: str) -> AbstractContextManager[Any]:
        """Nothing."""
        return nullcontext()


class OpenTelemetryTracer:
    """One span per operation, retries included, named as HTTP client spans are by the semantic conventions 1.23.

    Raises:
        AionvisionError: `opentelemetry-api` is not installed.
    """

    def __init__(self) -> None:
        """Take the tracer of the process."""
        try:
            from opentelemetry import trace
        except ImportError:
            raise AionvisionError(
                "enable_tracing needs OpenTelemetry: pip install 'aion_dagster[tracing]'",
                code="TRACING_UNAVAILABLE",
            ) from None
        self._tracer = trace.get_tracer("aion_dagster.client")
        self._kind = trace.SpanKind.CLIENT

    @contextmanager
    def span(self, operation: str, host: str) -> Iterator[Any]:
        """A span; an error that leaves it is recorded by its class and code."""
        method, _, path = operation.partition(" ")
        with self._tracer.start_as_current_span(
            operation, kind=self._kind, record_exception=False, set_status_on_exception=False
        ) as span:
            span.set_attribute("http.request.method", method)
            span.set_attribute("url.template", path)
            span.set_attribute("server.address", host)
            try:
                yield span
            except AionvisionError as error:
                span.set_attribute("error.type", error.code or type(error).__name__)
                if error.status is not None:
                    span.set_attribute("http.response.status_code", error.status)
                raise


def tracer(enabled: bool) -> Tracer:
    """The tracer that the settings ask for."""
    return OpenTelemetryTracer() if enabled else NoTracer()
