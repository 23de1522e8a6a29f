"""How the web is crawled: the part of the configuration."""

from __future__ import annotations

import ipaddress
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from aion_dagster.crawling.addresses import IPNetwork

LONGEST_URL: Final = 4096


class LinksConfig(BaseModel):
    """Links that are crawled by the local backend, and how.

    A page is fetched at most once in `every_minutes`, with at most `max_redirects` redirects, `max_bytes` of it (decoded),
    `seconds` for everything about it, `parallel` hosts at once and one page of a host at a time. `robots: respect` asks each
    host's robots.txt first. Private, loopback and link-local addresses and those of metadata services are refused, after
    names were looked up and on every redirect, unless they are in one of `allowed_networks` (as in "10.20.0.0/16"). `daily`
    has pages fetched again once a day where sensors run; else they are when the configuration changes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    urls: tuple[str, ...] = ()
    robots: Literal["respect", "ignore"] = "respect"
    user_agent: str = Field(default="aion-dagster", pattern=r"^[A-Za-z0-9][\w .;:/+()@-]{0,199}$")
    every_minutes: int = Field(default=60, ge=1)
    max_bytes: int = Field(default=5 * 2**20, ge=1024)
    max_redirects: int = Field(default=5, ge=0, le=20)
    seconds: float = Field(default=30.0, gt=0, le=600)
    parallel: int = Field(default=8, ge=1, le=64)
    ports: tuple[int, ...] = (80, 443, 8080, 8443)
    allowed_networks: tuple[str, ...] = ()
    daily: bool = False

    @field_validator("urls", "allowed_networks")
    @classmethod
    def _distinct(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(values))

    @field_validator("allowed_networks")
    @classmethod
    def _are_networks(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            ipaddress.ip_network(value)
        return values

    @property
    def networks(self) -> tuple[IPNetwork, ...]:
        """The allowed networks."""
        return tuple(ipaddress.ip_network(value) for value in self.allowed_networks)
