"""What would lead into somebody's own network is refused: as written, as looked up, and on every redirect."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster.crawling.addresses import may_be_reached, refusal
from aion_dagster.crawling.crawler import Crawled, crawl
from aion_dagster.crawling.settings import LinksConfig

from .site import Site

WRITTEN = [
    # this machine
    "http://127.0.0.1/", "http://127.0.0.1:8080/admin", "http://127.1/", "http://127.0.1/", "http://2130706433/",
    "http://0x7f000001/", "http://0x7f.1/", "http://0177.0.0.1/", "http://017700000001/", "http://127.255.255.254/",
    "http://0/", "http://0.0.0.0/", "http://0.0.0.1/", "http://[::1]/", "http://[::]/", "http://[0:0:0:0:0:0:0:1]/",
    "http://localhost/", "http://LOCALHOST./", "http://foo.localhost/", "http://localhost.localdomain/",
    "http://\uff11\uff12\uff17.0.0.1/", "http://127。0。0。1/", "http://①②⑦.0.0.1/",
    # addresses that carry others
    "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[::127.0.0.1]/", "http://[2002:7f00:1::]/",
    "http://[2002:a9fe:a9fe::1]/", "http://[64:ff9b::a9fe:a9fe]/", "http://[64:ff9b:1::7f00:1]/",
    "http://[2001:0:7f00:1::]/", "http://[::ffff:169.254.169.254]/",
    # private networks
    "http://10.0.0.1/", "http://10.255.255.255/", "http://172.16.0.1/", "http://172.31.255.255/", "http://192.168.0.1/",
    "http://192.168.1.1:80/cgi-bin/", "http://0xc0a80001/", "http://3232235521/", "http://100.64.0.1/",
    "http://[fc00::1]/", "http://[fd12:3456:789a::1]/", "http://[fec0::1]/", "http://198.18.0.1/", "http://192.0.0.1/",
    # link-local, and where clouds keep secrets
    "http://169.254.169.254/latest/meta-data/", "http://2852039166/", "http://0xa9fea9fe/", "http://0251.0376.0251.0376/",
    "http://169.254.170.2/v2/credentials", "http://[fe80::1]/", "http://[fe80::a9fe:a9fe]/", "http://[fd00:ec2::254]/",
    "http://100.100.100.200/latest/meta-data/", "http://192.0.0.192/opc/v1/", "http://168.63.129.16/metadata",
    "http://metadata.google.internal/computeMetadata/v1/", "http://instance-data.ec2.internal/",
    # nobody, many, documentation
    "http://224.0.0.1/", "http://239.255.255.250:1900/", "http://255.255.255.255/", "http://240.0.0.1/",
    "http://[ff02::1]/", "http://192.0.2.1/", "http://198.51.100.7/", "http://203.0.113.9/", "http://[2001:db8::1]/",
    # names of inner networks
    "http://router/", "http://intranet/", "http://printer.local/", "http://wiki.corp/", "http://db.internal/",
    "http://nas.lan/", "http://x.home.arpa/", "http://hidden.onion/",
    # other schemes, and URLs that two programs may read differently
    "file:///etc/passwd", "gopher://127.0.0.1:6379/_FLUSHALL", "ftp://example.com/", "dict://example.com:11211/stat",
    "data:text/html,hello", "javascript:alert(1)", "//example.com/", "http:///etc/passwd", "http://",
    "http://user:word@example.com/", "http://example.com@127.0.0.1/", "http://example.com\\@127.0.0.1/",
    "http://127.0.0.1\\.example.com/", "http://exa mple.com/", "http://example.com\t/", "http://example.com/\r\nHost: x",
    "http://example.com:99999/", "http://[::1", "http://exam\u200bple.com/", "http://-.-/%00/" + "a" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("url", WRITTEN)
def test_what_is_written_as_an_inner_place_is_refused_before_anything_is_looked_up(
    url: str,
) -> None:
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["93.184.215.14"]

    found = crawl([url], LinksConfig(seconds=5), resolve=resolve)[url]
    assert found.page is None
    assert not found.retryable
    assert asked == []


def test_there_are_many_hostile_addresses() -> None:
    assert len(set(WRITTEN)) == len(WRITTEN) >= 60


INNER = [
    "127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.7.7", "172.20.0.1", "100.64.3.2", "0.0.0.0", "::1", "fe80::1%eth0",
    "fd00:ec2::254", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:c0a8:101::1", "168.63.129.16", "224.0.0.251", "::",
]  # fmt: skip


@pytest.mark.parametrize("address", INNER)
def test_a_public_name_with_an_inner_address_is_refused(address: str) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return [address]

    found = crawl(["http://public.example.com/"], LinksConfig(robots="ignore"), resolve=resolve)
    assert (
        found["http://public.example.com/"].fault
        == "public.example.com leads into an inner network"
    )


def test_one_inner_address_among_public_ones_refuses_the_name() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["93.184.215.14", "10.0.0.1"]

    found = crawl(["http://mixed.example.com/"], LinksConfig(robots="ignore"), resolve=resolve)
    assert "inner network" in str(found["http://mixed.example.com/"].fault)


def local(site: Site, **more: object) -> LinksConfig:
    """Loopback is allowed, nothing else that is not public."""
    settings = {"allowed_networks": ("127.0.0.1/32",), "ports": (site.port,), "robots": "ignore"}
    return LinksConfig(**settings | {"seconds": 5} | more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "to",
    [
        "http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "//192.168.0.1/", "http://[::1]/", "http://0/",
        "file:///etc/passwd", "gopher://127.0.0.1/_x", "http://2852039166/", "http://[::ffff:10.0.0.1]/",
        "http://user:word@example.com/", "http://localhost:1/", "data:text/html,x", "http://[fe80::1]/", "http://127.0.0.2/",
    ],
)  # fmt: skip
@pytest.mark.parametrize("hops", [0, 2])
def test_a_redirect_into_an_inner_network_is_refused(site: Site, to: str, hops: int) -> None:
    url = site.redirect("/go0", "/go1" if hops else to)
    for hop in range(1, hops + 1):
        site.redirect(f"/go{hop}", f"/go{hop + 1}" if hop < hops else to, status=301 + hop)
    found = crawl([url], local(site))[url]
    assert found.page is None
    assert not found.retryable
    assert site.paths() == [f"/go{n}" for n in range(hops + 1)]


def test_a_redirect_to_a_name_that_leads_inside_is_refused(site: Site) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["10.0.0.1"] if host == "inside.example.com" else ["127.0.0.1"]

    url = site.redirect("/", f"http://inside.example.com:{site.port}/")
    found = crawl([url], local(site), resolve=resolve)[url]
    assert found.fault == "inside.example.com leads into an inner network"


def test_a_name_that_changes_its_address_is_not_followed_inside(
    site: Site, other_site: Site
) -> None:
    """DNS rebinding: what was checked is what is connected to, though a second look-up says otherwise."""
    answers = iter([["127.0.0.1"], ["127.0.0.2"], ["10.0.0.1"]])

    async def resolve(host: str, port: int) -> list[str]:
        return next(answers)

    first = f"http://rebinding.example.com:{site.port}/"
    site.page("/", "<title>outside</title>")
    found = crawl([first], local(site), resolve=resolve)[first]
    assert found.page is not None
    assert found.page.title == "outside"
    assert site.asked == [(f"rebinding.example.com:{site.port}", "/")]
    # The next connection looks again, and checks again.
    other = f"http://rebinding.example.com:{other_site.port}/"
    both = local(site, ports=(site.port, other_site.port))
    assert "inner network" in str(crawl([other], both, resolve=resolve)[other].fault)
    assert "inner network" in str(crawl([other], both, resolve=resolve)[other].fault)
    assert other_site.asked == []


def test_robots_of_an_inner_host_are_not_asked_for(site: Site) -> None:
    found = crawl([f"{site.url}/page"], LinksConfig(ports=(site.port,)))
    assert found[f"{site.url}/page"].fault is not None
    assert site.asked == []


def test_ports_of_other_services_are_refused(site: Site) -> None:
    found: Crawled = crawl([f"{site.url}/"], local(site, ports=(80, 443)))[f"{site.url}/"]
    assert found.fault == f"port {site.port} is not among those that are fetched from"
    assert site.asked == []


@given(st.ip_addresses(v=4))
def test_only_global_addresses_may_be_reached(address: ipaddress.IPv4Address) -> None:
    if may_be_reached(address):
        assert address.is_global
        kinds = ("is_private", "is_loopback", "is_link_local", "is_multicast", "is_reserved")
        assert not any(getattr(address, kind) for kind in kinds)


@given(st.ip_addresses(v=4))
def test_an_address_is_refused_in_every_way_it_can_be_written(
    address: ipaddress.IPv4Address,
) -> None:
    number = int(address)
    ways = [str(address), str(number), hex(number), f"0{number:o}", f"[::ffff:{address}]"]
    ways += [f"[2002:{number >> 16:x}:{number & 0xFFFF:x}::]", f"[64:ff9b::{address}]"]
    verdicts = {refusal(f"http://{way}/", longest=100) is None for way in ways}
    assert verdicts == {may_be_reached(address)}
