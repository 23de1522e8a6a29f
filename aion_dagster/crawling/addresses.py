"""Which URLs and addresses lead out into the public web, and to which page two URLs lead alike."""

from __future__ import annotations

import ipaddress
import re
import socket
import unicodedata
from collections.abc import Collection
from typing import Final
from urllib.parse import SplitResult, urlsplit, urlunsplit

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

PORTS: Final = {"http": 80, "https": 443}
"""Schemes that are fetched, and their usual ports."""

_INNER: Final = (
    "localhost", "localdomain", "local", "internal", "intranet", "lan", "home", "corp", "private", "arpa", "onion",
    "test", "invalid",
)  # fmt: skip
"""Top-level names that lead to nobody, or to somebody's own network."""

_NOT_PUBLIC: Final = (
    ipaddress.ip_network("168.63.129.16"),
    ipaddress.ip_network("192.0.0.0/24"),
    ipaddress.ip_network("192.88.99.0/24"),
    ipaddress.ip_network("3fff::/20"),
    ipaddress.ip_network("5f00::/16"),
)
"""What `is_global` of some supported Python takes for public: where Azure and Oracle tell machines their secrets, and entries
of IANA's special-purpose registries that came later."""

_NAT64: Final = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
_COMPATIBLE: Final = ipaddress.ip_network("::/96")
_HOST: Final = re.compile(r"[\w.-]+")
_UNSEEN: Final = ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")
INNER_NETWORK: Final = "leads into an inner network"


def refusal(url: str, *, longest: int, allowed: Collection[IPNetwork] = ()) -> str | None:
    """Why a URL must not be fetched, as far as it tells by itself; None where it may be. No name is looked up.

    Only pages of the public web are: no other schemes, no credentials, no addresses or names of inner networks, however
    they are written, nothing that two programs might read differently. `allowed` networks count as public; with one,
    inner names have to be looked up before they can be refused.
    """
    if len(url) > longest:
        return f"{len(url)} characters, {longest} are allowed"
    if any(unicodedata.category(c) in _UNSEEN for c in url) or "\\" in url:
        return "white space, unseen characters or a backslash"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        return f"cannot be read: {error}"
    if parts.scheme not in PORTS:
        return "does not begin with http:// or https://"
    if "@" in parts.netloc:
        return "holds a user name or a password"
    if not parts.hostname:
        return "has no host"
    return _refused_host(unicodedata.normalize("NFKC", parts.hostname).rstrip("."), allowed)


def _refused_host(host: str, allowed: Collection[IPNetwork]) -> str | None:
    address = written_address(host)
    if address is not None:
        return None if may_be_reached(address, allowed) else INNER_NETWORK
    labels = host.split(".")
    if not _HOST.fullmatch(host) or not all(0 < len(label) <= 63 for label in labels):
        return "has a host that is no name"
    if not allowed and (len(labels) < 2 or labels[-1] in _INNER):
        return INNER_NETWORK
    return None


def written_address(host: str) -> IPAddress | None:
    """The address that a host is, also where it is written as browsers and C libraries read it: 127.1, 0x7f000001."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None


def may_be_reached(address: IPAddress, allowed: Collection[IPNetwork] = ()) -> bool:
    """Whether an address is public, or in a network that is allowed.

    An address that carries another one (mapped, compatible, 6to4, Teredo, NAT64) is as public as all that it carries.
    """
    carried = _carried(address) if isinstance(address, ipaddress.IPv6Address) else ()
    if carried:
        return all(may_be_reached(inner, allowed) for inner in carried)
    if any(address in network for network in allowed):
        return True
    if any(address in network for network in _NOT_PUBLIC):
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.is_site_local:
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _carried(address: ipaddress.IPv6Address) -> tuple[ipaddress.IPv4Address, ...]:
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    last = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if any(address in network for network in _NAT64):
        return (last,)
    # `::` and `::1` carry nothing: they are what they say.
    if address in _COMPATIBLE and int(address) > 1:
        return (last,)
    return ()


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
    if parts.port is None or parts.port == PORTS.get(parts.scheme):
        return host
    return f"{host}:{parts.port}"
