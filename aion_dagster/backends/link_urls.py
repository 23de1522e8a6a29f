"""Which URLs may be given to somebody else to be fetched, and when two mean the same page."""

from __future__ import annotations

import ipaddress
import re
import socket
import unicodedata
from typing import Final
from urllib.parse import SplitResult, urlsplit, urlunsplit

from aion_dagster.client.limits import LINK_URL

_PORTS: Final = {"http": 80, "https": 443}
_INNER: Final = (
    "localhost", "localdomain", "local", "internal", "intranet", "lan", "home", "corp", "private", "arpa", "onion",
    "test", "invalid",
)  # fmt: skip
"""Top-level names that lead to nobody, or to somebody's own network."""

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_HOST: Final = re.compile(r"[\w.-]+")
_UNSEEN: Final = ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")


def refusal(url: str) -> str | None:
    """Why a URL is not given away; None where it may be.

    Only pages of the public web are: no other schemes, no credentials, no addresses or names of inner networks, however
    they are written, nothing that two programs might read differently. No name is looked up.
    """
    if len(url) > LINK_URL:
        return f"{len(url)} characters, {LINK_URL} are allowed"
    if any(unicodedata.category(c) in _UNSEEN for c in url) or "\\" in url:
        return "white space, unseen characters or a backslash"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        return f"cannot be read: {error}"
    if parts.scheme not in _PORTS:
        return "does not begin with http:// or https://"
    if "@" in parts.netloc:
        return "holds a user name or a password"
    if not parts.hostname:
        return "has no host"
    return _refused_host(unicodedata.normalize("NFKC", parts.hostname).rstrip("."))


def _refused_host(host: str) -> str | None:
    address = _address(host)
    if address is not None:
        return None if _is_public(address) else "leads into an inner network"
    labels = host.split(".")
    if not _HOST.fullmatch(host) or not all(0 < len(label) <= 63 for label in labels):
        return "has a host that is no name"
    if len(labels) < 2 or labels[-1] in _INNER:
        return "leads into an inner network"
    return None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a host is, also where it is written as browsers and C libraries read it: 127.1, 0x7f000001."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return _is_public(inner)
    return address.is_global and not address.is_multicast


def shown(url: str) -> str:
    """A URL as it may stand in a table: without credentials."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "…"
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=f"…@{parts.netloc.rpartition('@')[2]}"))


def page_of(url: str) -> str:
    """What two URLs share that mean the same page: scheme and host in lower case, no usual port, a path."""
    try:
        parts = urlsplit(url)
        return urlunsplit(parts._replace(netloc=_netloc(parts), path=parts.path or "/"))
    except ValueError:
        return url


def _netloc(parts: SplitResult) -> str:
    host = (parts.hostname or "").rstrip(".")
    host = f"[{host}]" if ":" in host else host
    if parts.port is None or parts.port == _PORTS.get(parts.scheme):
        return host
    return f"{host}:{parts.port}"
