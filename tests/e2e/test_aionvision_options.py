"""What is said of uploads: a bucket of one's own, variants, tags and titles that are written back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aionvision_server.fixtures import Server
from remote_runs import asked, configured, ready, rows
from small_library import Run

from aion_dagster.backends.aionvision import AionvisionBackend
from aion_dagster.config import LibraryConfig
from aion_dagster.engines import AionvisionConfig
from aion_dagster.errors import ConfigError
from aion_dagster.storage.store import Store

BUCKET = {"bucket": "our-pictures", "region": "eu-central-1"}
ACCESS, SECRET = "AKIA" + "X" * 16, "very-secret-" + "s" * 28
PATCH = "PATCH /user-files/{image_id}"


@pytest.fixture(autouse=True)
def key(aionvision: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    return ready(aionvision, monkeypatch)


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIONVISION_S3_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AIONVISION_S3_SECRET_ACCESS_KEY", SECRET)


def written(tmp_path: Path, server: Server, **more: Any) -> Path:
    return configured(tmp_path / "aion.yaml", server, **more)


def client_of(server: Server) -> Any:
    return AionvisionBackend(AionvisionConfig(base_url=server.url, plan="unlimited")).sync_client()


@pytest.mark.usefixtures("credentials")
def test_a_bucket_is_made_known_once_and_uploads_go_there_and_its_credentials_stand_nowhere(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server
) -> None:
    (pictures / "notes.txt").write_text("Words about the pictures.")
    config = written(
        tmp_path,
        aionvision,
        storage_target="custom",
        custom_storage=BUCKET,
        library={"documents": ["txt"]},
    )
    assert run(pictures, "--config", config)["errors"] == []
    assert {o["storage_target"] for o in aionvision.objects()} == {"custom"}
    assert {u["storage_target"] for u in rows(tmp_path / "store", "uploads")} == {"custom"}
    with client_of(aionvision) as client:
        status = client.settings.get_custom_s3_status()
    assert (status.bucket_name, status.region) == (BUCKET["bucket"], BUCKET["region"])
    assert len(aionvision.log("POST /tenant/s3-config")) == 1
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    told = [
        p for p in files if SECRET.encode() in p.read_bytes() or ACCESS.encode() in p.read_bytes()
    ]
    assert told == []
    aionvision.assert_clean()


@pytest.mark.usefixtures("credentials")
def test_a_bucket_that_the_account_has_is_used_and_never_replaced(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server
) -> None:
    with client_of(aionvision) as client:
        client.settings.configure_custom_s3(ACCESS, SECRET, "another-bucket", "us-east-1")
    other = written(tmp_path, aionvision, storage_target="custom", custom_storage=BUCKET)
    result = run(pictures, "--config", other, status=1)
    assert any("another-bucket" in e for e in result["errors"])
    assert aionvision.objects() == []
    run(pictures, "--config", written(tmp_path, aionvision, storage_target="custom"))
    assert {o["storage_target"] for o in aionvision.objects()} == {"custom"}
    assert len(aionvision.log("POST /tenant/s3-config")) == 1


@pytest.mark.parametrize(
    ("more", "told"),
    [({}, "custom_storage"), ({"custom_storage": BUCKET}, "AIONVISION_S3_ACCESS_KEY_ID")],
    ids=["no bucket", "no credentials"],
)
def test_without_a_bucket_or_its_credentials_nothing_is_uploaded(
    run: Run,
    pictures: Path,
    tmp_path: Path,
    aionvision: Server,
    more: dict[str, Any],
    told: str,
) -> None:
    config = written(tmp_path, aionvision, storage_target="custom", **more)
    result = run(pictures, "--config", config, status=1)
    assert any(told in e for e in result["errors"])
    assert aionvision.objects() == []


def test_uploads_tell_how_the_platforms_sizes_stand(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server
) -> None:
    run(pictures, "--config", written(tmp_path, aionvision))
    found = rows(tmp_path / "store", "uploads")
    assert {(u["variant_status"], u["variant_count"]) for u in found} == {("completed", 5)}
    run(
        pictures, "--config", written(tmp_path, aionvision, variants="ignore"), store=tmp_path / "b"
    )
    assert {u["variant_status"] for u in rows(tmp_path / "b", "uploads")} == {None}


def test_sizes_that_failed_are_asked_for_again_where_that_is_wanted(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server
) -> None:
    run(pictures, "--config", written(tmp_path, aionvision))
    trigger = "POST /user-files/{image_id}/trigger-variants"
    aionvision.fault("failing", trigger)
    broken = aionvision.objects()[0]["id"]
    with client_of(aionvision) as client:
        client.files.trigger_variant_generation(broken)
    run(pictures, "--config", written(tmp_path, aionvision), store=tmp_path / "observed")
    assert len(aionvision.log(trigger)) == 1
    states = {u["remote_id"]: u["variant_status"] for u in rows(tmp_path / "observed", "uploads")}
    assert states[broken] == "failed"
    config = written(tmp_path, aionvision, variants="repair")
    result = run(pictures, "--config", config, store=tmp_path / "repaired")
    assert result["paid_calls"] == 0
    states = {u["remote_id"]: u["variant_status"] for u in rows(tmp_path / "repaired", "uploads")}
    assert states[broken] == "queued"
    assert len(aionvision.log(trigger)) == 2


def test_titles_and_tags_are_written_back_once(
    run: Run, pictures: Path, labels: Path, tmp_path: Path, aionvision: Server
) -> None:
    config = written(tmp_path, aionvision, write_back=["tags", "title"], tags=["site"])
    first = run(pictures, "--config", config, "--labels", labels)
    assert (first["errors"], first["paid_calls"]) == ([], 12)
    names = {
        r["image_id"]: r["name"].rpartition("/")[2] for r in rows(tmp_path / "store", "images")
    }
    remote = {o["id"]: o for o in aionvision.objects()}
    found = rows(tmp_path / "store", "write_back")
    assert {r["status"] for r in found} == {"written"}
    assert all(remote[r["remote_id"]]["title"] == names[r["image_id"]] for r in found)
    categories = {a["image_id"]: a["category"] for a in rows(tmp_path / "store", "annotations")}
    assert len(categories) == 8
    for row in found:
        tags = remote[row["remote_id"]]["tags"]
        assert "site" in tags
        assert row["image_id"] not in categories or categories[row["image_id"]] in tags
    changes = len(aionvision.log(PATCH))
    assert changes == 12
    before = asked(aionvision)
    assert "no work was done" in run(pictures, "--config", config, "--labels", labels)["output"]
    assert asked(aionvision) == before
    more = written(tmp_path, aionvision, write_back=["tags", "title"], tags=["site", "2026"])
    assert run(pictures, "--config", more, "--labels", labels)["paid_calls"] == 0
    assert len(aionvision.log(PATCH)) == changes + 12
    assert {r["title"] for r in rows(tmp_path / "store", "write_back")} == {None}
    aionvision.assert_clean()


def test_what_is_there_already_is_left_alone_and_so_is_what_people_change_later(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server
) -> None:
    plain = written(tmp_path, aionvision, tags=["site"])
    run(pictures, "--config", plain)
    config = written(tmp_path, aionvision, tags=["site"], write_back=["tags"])
    run(pictures, "--config", config)
    found = rows(tmp_path / "store", "write_back")
    lacking = [r for r in found if r["status"] == "written"]
    assert all(r["title"] is None for r in found)
    assert len(aionvision.log(PATCH)) == len(lacking)
    with client_of(aionvision) as client:
        client.files.update(found[0]["remote_id"], title="By hand", tags=["mine"])
    with Store.open(tmp_path / "store", create=False).ledger as ledger:
        for batch in ledger.batches():
            ledger.forget_build("write_back", batch.key)
    run(pictures, "--config", config)
    assert {r["status"] for r in rows(tmp_path / "store", "write_back")} == {"unchanged"}
    changed = next(o for o in aionvision.objects() if o["id"] == found[0]["remote_id"])
    assert (changed["title"], changed["tags"]) == ("By hand", ["mine"])


def test_titles_of_pictures_that_were_there_before_stay(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server
) -> None:
    run(pictures, "--config", written(tmp_path, aionvision))
    titles = {o["id"]: o["title"] for o in aionvision.objects()}
    config = written(tmp_path, aionvision, write_back=["title"])
    run(pictures, "--config", config, store=tmp_path / "another store")
    assert {o["id"]: o["title"] for o in aionvision.objects()} == titles
    assert {r["status"] for r in rows(tmp_path / "another store", "write_back")} == {"unchanged"}


def test_a_change_that_failed_for_a_time_is_made_by_the_next_run(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server
) -> None:
    aionvision.fault("status", PATCH, nth=3, times=1, status=503)
    config = written(tmp_path, aionvision, write_back=["title"], max_retries=0, parallel=1)
    assert run(pictures, "--config", config)["errors"] == []
    states = [r["status"] for r in rows(tmp_path / "store", "write_back")]
    assert (states.count("written"), states.count("failed")) == (11, 1)
    again = run(pictures, "--config", config)
    assert again["paid_calls"] == 0
    assert len(aionvision.log(PATCH)) == 13
    assert all(o["title"] for o in aionvision.objects())


def test_limits_are_checked_before_anything_is_sent() -> None:
    for wrong in (
        {"tags": ["x" * 51]},
        {"tags": ["a,b"]},
        {"tags": [str(n) for n in range(41)]},
        {"write_back": ["title"], "title": "none"},
        {"custom_storage": {"bucket": "ab", "region": "eu"}},
    ):
        (field,) = [name for name in wrong if name != "title"]
        with pytest.raises(ConfigError, match=f"aionvision.*{field}"):
            LibraryConfig.parse({"store": "s", "backend": "aionvision", "aionvision": wrong})
