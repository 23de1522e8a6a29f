"""Who may ask, and how fast: keys, tenants, requests per minute."""

from __future__ import annotations

import math

from .errors import TOO_MANY
from .exchange import Refusal
from .faults import Fault
from .plans import Turn
from .world import TENANT, Key, World


def key_of(world: World, headers: dict[str, str]) -> Key:
    """The key that a request carries.

    Raises:
        Refusal: none, one that is unknown or not valid any more, or another tenant's.
    """
    scheme, _, text = headers.get("authorization", "").partition(" ")
    key = world.keys.get(text.strip())
    if scheme.lower() != "bearer" or key is None or not key.active:
        raise Refusal(401, "INVALID_API_KEY", "Invalid or missing API key")
    if key.expired:
        raise Refusal(401, "EXPIRED_API_KEY", "This API key has expired")
    tenant = headers.get("x-tenant-id")
    if tenant is not None and tenant != TENANT:
        raise Refusal(403, "FORBIDDEN", "This key does not belong to that tenant")
    return key


def take_turn(world: World, key: Key) -> tuple[Turn | None, dict[str, str]]:
    """Count a request against its plan; the headers that tell of it."""
    limit = world.plan.per_minute
    if limit is None:
        return None, {}
    turn = key.limiter.turn(limit, world.now(), world.settings.counting)
    return turn, {
        "x-ratelimit-limit": str(turn.limit),
        "x-ratelimit-remaining": str(turn.remaining),
        "x-ratelimit-reset": str(math.ceil(turn.reset)),
    }


def too_fast(world: World, turn: Turn) -> Refusal:
    wait = max(turn.reset - world.now(), 0.0)
    return Refusal(
        429,
        "RATE_LIMIT_ERROR",
        f"Rate limit of {turn.limit} requests per minute exceeded",
        headers={"retry-after": str(max(math.ceil(wait), 1))},
    )


def asked_for(world: World, fault: Fault) -> Refusal:
    """The error that a fault of kind `status` or `rate_limit` wants."""
    from .errors import code_of

    options = fault.options
    status = 429 if fault.kind == "rate_limit" else int(options.get("status", 503))
    code = options.get("code") or (
        TOO_MANY[world.sides["too_many"]] if status == 429 else code_of(status)
    )
    if status == 413 and "status" in options and code == "STORAGE_QUOTA_EXCEEDED":
        status = int(world.sides["storage_quota"])
    headers = {}
    if options.get("retry_after") is not None:
        headers["retry-after"] = str(options["retry_after"])
    return Refusal(
        status, code, options.get("message", f"fault {fault.number} on demand"), headers=headers
    )
