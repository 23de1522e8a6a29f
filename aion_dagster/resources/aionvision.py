"""The Aionvision platform as a Dagster resource, for our assets and for a team's own."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg
import orjson
import pydantic
from pydantic import Field, PrivateAttr

from aion_dagster.backends.aionvision import AionvisionBackend
from aion_dagster.backends.aionvision_credits import told_credits
from aion_dagster.backends.calls import CallJournal, CallKey, NoJournal, Settlement
from aion_dagster.backends.paid import paid
from aion_dagster.client import AionVision, SyncAionVision
from aion_dagster.costs import invocation, spending_caps
from aion_dagster.engines import AionvisionConfig, BudgetsConfig
from aion_dagster.resources.compute import LocalComputeResource
from aion_dagster.storage.ledger import Ledger


class AionvisionResource(dg.ConfigurableResource[Any]):
    """The client of the platform, with the pace of the account, the journal of paid calls and the budgets.

    `settings` takes the fields of `AionvisionConfig`; the key comes from the environment variable that its
    `api_key_env` names (`AIONVISION_API_KEY`). `ledger` is the URL of a ledger (`sqlite:////path/ledger.db`,
    `postgresql+psycopg2://…`): with one, pace, journal and budgets hold for all processes that use it, and `once` makes
    no call twice; without, nothing is remembered. `budgets` takes the fields of `BudgetsConfig`.
    """

    settings: dict[str, Any] = Field(default_factory=dict)
    budgets: dict[str, Any] = Field(default_factory=dict)
    ledger: str | None = None
    local: dict[str, Any] = Field(default_factory=dict)
    _backend: AionvisionBackend = PrivateAttr()
    _calls: CallJournal = PrivateAttr(default_factory=NoJournal)
    _ledger: Ledger | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Open the ledger; nothing is asked of the platform yet."""
        self._backend = self.open()
        if self.ledger:
            self._ledger = Ledger(self.ledger)
            run = invocation() or (context.run.run_id if context.run else "script")
            caps = spending_caps(BudgetsConfig.model_validate(self.budgets))
            self._calls = self._ledger.paid_calls(run, caps)
            self._backend.note_in(self._calls)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002 - Dagster's signature
        """Close the ledger."""
        if self._ledger is not None:
            self._ledger.close()

    def open(self) -> AionvisionBackend:
        """A backend outside a run, for sensors and scripts."""
        return AionvisionBackend(
            AionvisionConfig.model_validate(self.settings),
            LocalComputeResource(**self.local).open(),
        )

    @property
    def backend(self) -> AionvisionBackend:
        """The backend of this run."""
        return self._backend

    def client(self) -> AionVision:
        """The asynchronous client: `async with resource.client() as client`."""
        return self._backend.client()

    @contextmanager
    def sync_client(self) -> Iterator[SyncAionVision]:
        """The blocking client: `with resource.sync_client() as client`."""
        with self._backend.sync_client() as client:
            yield client

    def once(
        self,
        operation: str,
        parameters: Mapping[str, Any],
        call: Callable[[SyncAionVision], pydantic.BaseModel],
        *,
        about: str = "",
    ) -> Mapping[str, Any]:
        """Make a paid call once and for ever: `once("synthesize", {"intent": …}, lambda c: c.agent_operations.synthesize(…))`.

        Args:
            operation: what is asked, as `aion-dagster costs` shows it.
            parameters: everything that the answer depends on; anything that JSON can hold.
            call: makes the call; called only where the journal does not have the answer.
            about: what the call is about, such as a picture's SHA-256.

        Returns:
            The answer as plain data.

        Raises:
            BudgetSpentError: a budget does not allow it.
            CallFailedError: it failed for good before, or another process makes it right now.
            AionvisionError: it failed now.
        """
        asked = orjson.dumps(dict(parameters), option=orjson.OPT_SORT_KEYS, default=str)
        digest = hashlib.sha256(asked).hexdigest()
        subject = about or digest
        key = CallKey(subject[:64], operation, digest[:32], self._backend.engine)

        def make() -> Settlement:
            begun = time.perf_counter()
            with self.sync_client() as client:
                answer = call(client).model_dump(mode="json")
            usage = answer.get("token_usage")
            tokens = usage if isinstance(usage, dict) else {}
            return Settlement(
                answer,
                credits=told_credits(answer),
                input_tokens=int(
                    _number(tokens.get("input_tokens") or tokens.get("prompt_tokens"))
                ),
                output_tokens=int(
                    _number(tokens.get("output_tokens") or tokens.get("completion_tokens"))
                ),
                milliseconds=(time.perf_counter() - begun) * 1000,
            )

        return paid(self._calls, key, make)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e15 else 0.0
