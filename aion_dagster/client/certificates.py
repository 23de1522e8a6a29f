"""The certificates that are trusted, read once per process: reading them takes longer than everything else about a client."""

from __future__ import annotations

import ssl
from functools import cache

import httpx


@cache
def trusted(*, http2: bool) -> ssl.SSLContext:
    """A context for connections of one kind: what they negotiate is set on it."""
    _ = http2
    return httpx.create_ssl_context()
