"""`/_test/…`: what tests tell the server, and what they ask of it. No key is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any
from urllib.parse import parse_qs

import orjson

from .faults import Fault
from .plans import PLANS
from .sides import SIDES
from .world import Key, Storage, World

_FAULT = {f.name for f in fields(Fault)} - {"options", "number", "seen", "fired"}


class Admin:
    """Routes of the form `METHOD name`; bodies are JSON objects."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._routes: dict[str, Callable[..., Any]] = {
            "GET counters": self._counters,
            "GET log": self._log,
            "GET objects": self._objects,
            "GET settings": self._settings,
            "POST faults": self._fault,
            "DELETE faults": self._no_faults,
            "PUT sides": self._sides,
            "PUT plan": self._plan,
            "PUT settings": self._set,
            "PUT clock": self._clock,
            "PUT keys": self._keys,
            "PUT uploads": self._usage,
            "POST release": self._release,
            "POST reset": self._reset,
        }

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        name = scope["path"].removeprefix("/_test/").strip("/")
        query = {k: v[-1] for k, v in parse_qs(scope["query_string"].decode()).items()}
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        status, answer = 200, None
        try:
            given = orjson.loads(body) if body else {}
            if name == "holds":
                answer = await self._holds(query)
            else:
                answer = self._routes[f"{scope['method']} {name}"](**query, **given)
        except KeyError as error:
            status, answer = 404, {"error": f"no such thing: {error}"}
        except (ValueError, TypeError) as error:
            status, answer = 400, {"error": str(error)}
        content = orjson.dumps(answer, default=str)
        headers = [(b"content-type", b"application/json")]
        headers.append((b"content-length", str(len(content)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _counters(self) -> Any:
        from .operations.library import Library

        storage = self._world.room(Storage)
        return {
            **self._world.books.counters(),
            "remote_objects": self._world.room(Library).counts(),
            "storage_requests": dict(storage.requests),
            "keys_seen_elsewhere": storage.keys_seen,
            "validated_by": "specification" if self._world.specification else "client models",
        }

    def _log(self, since: str = "0", operation: str = "") -> Any:
        return [
            entry.told()
            for entry in self._world.books.log
            if entry.number > int(since) and operation in entry.operation
        ]

    def _objects(self) -> Any:
        from .operations.library import Library

        return self._world.room(Library).listed(self._world.now())

    def _settings(self) -> Any:
        world = self._world
        return {
            "base_url": world.base_url,
            "storage_url": world.storage_url,
            "foreign_url": world.foreign_url,
            "now": world.now(),
            "plan": asdict(world.plan),
            "sides": world.sides.as_dict(),
            "every_side": {name: asdict(side) for name, side in SIDES.items()},
            "settings": asdict(world.settings),
            "faults": [
                {f.name: getattr(fault, f.name) for f in fields(Fault)} for fault in world.faults
            ],
            "keys": list(world.keys),
        }

    def _fault(self, kind: str, **given: Any) -> Any:
        own = {k: given.pop(k) for k in list(given) if k in _FAULT}
        return {"number": self._world.faults.add(Fault(kind, **own, options=given))}

    def _no_faults(self, number: str | None = None) -> Any:
        self._world.faults.remove(int(number) if number else None)

    def _sides(self, **sides: str) -> Any:
        for name, value in sides.items():
            self._world.sides.take(name, value)
        return self._world.sides.as_dict()

    def _plan(self, name: str) -> Any:
        if name not in PLANS:
            raise ValueError(f"no plan {name!r}; there are {', '.join(PLANS)}")
        self._world.plan = PLANS[name]
        return asdict(self._world.plan)

    def _set(self, **changes: Any) -> Any:
        self._world.settings.change(changes)
        return asdict(self._world.settings)

    def _clock(self, **change: float) -> Any:
        self._world.clock.set(**change)
        return {"now": self._world.now()}

    def _keys(self, text: str, *, active: bool = True, expired: bool = False) -> Any:
        self._world.keys[text] = Key(text, active, expired)

    def _usage(self, used: int) -> Any:
        """Uploads of this month that count as made."""
        from .operations.library import Library

        self._world.room(Library).uploaded_this_month = used

    async def _holds(self, query: dict[str, str]) -> Any:
        """Requests that are held, once `arrived` have been since the beginning or `timeout` seconds are over."""
        holds = self._world.holds
        reached = await holds.until(int(query.get("arrived", 0)), float(query.get("timeout", 0)))
        waiting = [
            {"entry": h.entry.told(), "accepted": h.accepted, "subjects": h.subjects}
            for h in holds.waiting
        ]
        return {"reached": reached, "arrived": holds.arrived, "waiting": waiting}

    def _release(self, outcome: str = "answer") -> Any:
        return {"released": self._world.holds.release(outcome)}

    def _reset(self) -> Any:
        self._world.holds.release("reset")
        self._world.begin()
