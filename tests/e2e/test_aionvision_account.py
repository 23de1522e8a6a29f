"""The account at the platform: what was used, day by day, and what is in the remote library."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from aionvision_server.fixtures import Server
from remote_runs import asked, configured, ready, rows
from small_library import Run, draw_picture

from aion_dagster import schemas
from aion_dagster.backends.aionvision import AionvisionBackend
from aion_dagster.backends.aionvision_usage import read_usage
from aion_dagster.config import LibraryConfig
from aion_dagster.definitions import build_definitions
from aion_dagster.engines import AionvisionConfig


@pytest.fixture(autouse=True)
def key(aionvision: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    return ready(aionvision, monkeypatch)


def backend_of(server: Server) -> AionvisionBackend:
    return AionvisionBackend(
        AionvisionConfig(base_url=server.url, plan="unlimited", retry_delay=0.01)
    )


def by_operation(found: list[dict[str, Any]], origin: str, period: str = "day") -> dict[str, Any]:
    return {r["operation"]: r for r in found if r["origin"] == origin and r["period"] == period}


def test_usage_tells_credits_and_tokens_by_day_and_operation(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server
) -> None:
    config = configured(tmp_path / "aion.yaml", aionvision, usage=True)
    result = run(pictures, "--config", config)
    assert (result["errors"], result["paid_calls"]) == ([], 12)
    found = rows(tmp_path / "store", "usage")
    today = datetime.now(UTC).date()
    days = by_operation([r for r in found if r["day"] == today], "platform")
    assert days["all"]["credits"] == 12
    assert days["requests"]["quantity"] >= 6
    assert days["uploads"]["quantity"] == 12
    described = days["describe"]
    assert (described["quantity"], described["input_tokens"], described["output_tokens"]) == (
        12,
        12 * 700,
        12 * 90,
    )
    months = by_operation(found, "platform", "month")
    assert months["all"]["credits"] == months["descriptions"]["credits"] == 12
    assert months["all"]["day"] == today.replace(day=1)
    assert by_operation(found, "journal")["upload"]["quantity"] == 12
    aionvision.assert_clean()


def test_usage_is_read_once_a_day(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server
) -> None:
    config = configured(tmp_path / "aion.yaml", aionvision, usage=True)
    run(pictures, "--config", config)
    before = asked(aionvision)
    assert "no work was done" in run(pictures, "--config", config)["output"]
    assert asked(aionvision) == before


def test_days_of_earlier_readings_stay_and_late_bookings_replace_the_last_ones(
    aionvision: Server,
) -> None:
    today = datetime.now(UTC).date()
    begun = date(today.year - 1, 1, 1)

    def row(day: date, period: str, quantity: float) -> dict[str, Any]:
        return {
            "day": day,
            "period": period,
            "operation": "requests",
            "origin": "platform",
            "quantity": quantity,
        }

    earlier = [
        row(begun, "day", 1.0),
        row(begun, "month", 2.0),
        row(today - timedelta(days=1), "day", 3.0),
        row(today, "day", 4.0),
    ]
    before = pa.Table.from_pylist(earlier, schema=schemas.USAGE)
    found = read_usage(backend_of(aionvision), [], before, today=today).table.to_pylist()
    kept = {(r["day"], r["period"]): r["quantity"] for r in found if r["operation"] == "requests"}
    assert (kept[begun, "day"], kept[begun, "month"]) == (1.0, 2.0)
    assert kept.get((today, "day")) != 4.0
    assert (today - timedelta(days=1), "day") not in kept
    aionvision.assert_clean()


def test_what_a_server_does_not_tell_is_named_and_the_rest_is_there(aionvision: Server) -> None:
    for operation in ("GET /usage/dashboard-analytics", "GET /usage/tokens/*"):
        aionvision.fault("status", operation, times=9, status=404)
    found = read_usage(backend_of(aionvision), [], None)
    assert found.missing == (
        "activity by day",
        "tokens by file",
        "tokens by chat",
        "tokens of the month",
    )
    assert found.facts["credits_limit"]
    assert found.table.num_rows


def library(tmp_path: Path, server: Server, **more: Any) -> LibraryConfig:
    remote = {"base_url": server.url, "plan": "unlimited", "retry_delay": 0.01, **more}
    return LibraryConfig.parse(
        {"store": str(tmp_path / "store"), "backend": "aionvision", "aionvision": remote}
    )


def observation(config: LibraryConfig, job: str = "observe_remote") -> dg.AssetObservation:
    definitions = build_definitions(config, quiet=True)
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_job_def(job).execute_in_process(instance=instance)
        (event,) = result.get_asset_observation_events()
    return event.asset_observation_data.asset_observation


def fact(seen: dg.AssetObservation, name: str) -> Any:
    return seen.metadata[name].value


def version(seen: dg.AssetObservation) -> str:
    return seen.tags["dagster/data_version"]


@pytest.fixture
def filled(run: Run, tmp_path: Path, aionvision: Server) -> Server:
    """A remote library with 120 pictures and three links."""
    for number in range(120):
        draw_picture(tmp_path / "many" / f"{number}.jpg", number, size=(96, 72))
    links = [f"https://example.com/{n}" for n in range(3)]
    config = configured(tmp_path / "aion.yaml", aionvision, links=links, tags=["<b>site</b>"])
    run(tmp_path / "many", "--config", config, store=tmp_path / "first")
    return aionvision


def test_the_remote_library_is_observed_page_by_page_and_nothing_is_paid(
    tmp_path: Path, filled: Server
) -> None:
    billed, before = filled.counters()["billed"], filled.counters()["requests"]
    seen = observation(library(tmp_path, filled))
    assert (fact(seen, "files"), fact(seen, "files_in_all"), fact(seen, "is_whole")) == (
        123,
        123,
        True,
    )
    assert fact(seen, "by_media_type") == {"image": 120, "link": 3}
    assert fact(seen, "by_description") == {"completed": 120}
    assert fact(seen, "by_crawl") == {"completed": 3}
    assert fact(seen, "by_tag")["&lt;b&gt;site&lt;/b&gt;"] == 123
    assert fact(seen, "size_bytes") > 0
    assert filled.counters()["billed"] == billed
    listed = filled.counters()["requests"]["GET /user-files"] - before["GET /user-files"]
    assert listed == 3  # two pages and an empty one
    filled.assert_clean()


def test_the_version_changes_with_what_is_there_and_only_then(
    tmp_path: Path, filled: Server
) -> None:
    config = library(tmp_path, filled)
    first = observation(config)
    assert version(observation(config)) == version(first)
    link = next(o["id"] for o in filled.objects() if o["media_type"] == "link")
    with backend_of(filled).sync_client() as client:
        client.files.update(link, title="changed")
    assert version(observation(config)) != version(first)


def test_conditions_and_a_limit_say_what_is_looked_at(tmp_path: Path, filled: Server) -> None:
    wanted = {"media_types": ["link"], "tags": ["<b>site</b>"]}
    seen = observation(library(tmp_path, filled, remote_library=wanted))
    assert (fact(seen, "files"), fact(seen, "conditions")) == (3, wanted)
    seen = observation(library(tmp_path, filled, remote_library={"most_files": 50}))
    assert (fact(seen, "files"), fact(seen, "files_in_all"), fact(seen, "is_whole")) == (
        50,
        123,
        False,
    )


def test_a_refused_key_fails_the_observation_without_showing_the_key(
    tmp_path: Path, aionvision: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = "aion_" + "w" * 40
    monkeypatch.setenv("AIONVISION_API_KEY", wrong)
    definitions = build_definitions(library(tmp_path, aionvision), quiet=True)
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_job_def("observe_remote").execute_in_process(
            instance=instance, raise_on_error=False
        )
        told = json.dumps(
            [e.to_json() if hasattr(e, "to_json") else str(e) for e in result.all_events]
        )
    assert not result.success
    assert "AuthenticationError" in told
    assert wrong not in told


def test_definitions_with_every_remote_asset_load_and_share_a_code_location(
    tmp_path: Path, aionvision: Server
) -> None:
    everything = {
        "links": ["https://example.com/"],
        "usage": True,
        "remote_library": {"daily": True},
    }
    one = library(tmp_path, aionvision, **everything)
    other = one.model_copy(update={"name": "beach"})
    merged = dg.Definitions.merge(build_definitions(one), build_definitions(other))
    dg.Definitions.validate_loadable(merged)
    keys = {s.key.to_user_string() for s in merged.resolve_all_asset_specs()}
    assert keys >= {"links", "usage", "remote_library", "beach/links", "beach/usage"}
