"""What a bucket's service refuses or breaks off comes as an error that says what to do, or is made good."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from failing_bucket import Answer, FailingBucket, failing_bucket
from s3_server import ENVIRONMENT

from aion_dagster.errors import (
    CredentialsError,
    FileVanishedError,
    OutageError,
    SourceError,
    SourceUnavailableError,
)
from aion_dagster.ingest import ingest
from aion_dagster.resources import buckets
from aion_dagster.resources.sources import SourceReader, build_source
from aion_dagster.source_configs import S3SourceConfig
from aion_dagster.sources.source import Source
from aion_dagster.storage import Store


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[FailingBucket]:
    for name, value in {**ENVIRONMENT, "AWS_MAX_ATTEMPTS": "2"}.items():
        monkeypatch.setenv(name, value)
    buckets._clients.cache_clear()
    with failing_bucket() as opened:
        opened.objects = {"a.jpg": b"first", "b.jpg": bytes(3_000_000)}
        yield opened


def config_of(bucket: FailingBucket, **more: object) -> S3SourceConfig:
    return S3SourceConfig.model_validate(
        {"bucket": "pictures", "name": "pics", "endpoint_url": bucket.endpoint, **more}
    )


def source_of(bucket: FailingBucket, **more: object) -> Source:
    return build_source(config_of(bucket, **more), max_bytes=2**30)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (Answer(403, "AccessDenied"), CredentialsError, "need s3:ListBucket on it"),
        (Answer(403, "InvalidAccessKeyId"), CredentialsError, "access key is not known"),
        (Answer(403, "SignatureDoesNotMatch"), CredentialsError, "secret key does not fit"),
        (Answer(400, "ExpiredToken"), CredentialsError, "have expired"),
        (Answer(404, "NoSuchBucket"), SourceError, "no such bucket"),
        (
            Answer(
                400, "IllegalLocationConstraintException", {"x-amz-bucket-region": "eu-north-1"}
            ),
            SourceError,
            "set 'region: eu-north-1'",
        ),
        (Answer(418, "Teapot"), SourceError, "Teapot: as told"),
    ],
)
def test_a_refusal_says_what_is_wrong(
    bucket: FailingBucket, answer: Answer, kind: type[SourceError], words: str
) -> None:
    bucket.always = answer
    with pytest.raises(kind, match=words) as caught:
        source_of(bucket).scan()
    assert type(caught.value) is kind
    assert "The bucket pictures" in str(caught.value)
    assert "testing-secret" not in str(caught.value)


def test_a_service_that_is_too_busy_is_asked_again_and_then_reported(
    bucket: FailingBucket,
) -> None:
    bucket.answers = [Answer(503, "SlowDown")]
    assert len(source_of(bucket).scan().files) == 2
    assert len(bucket.requests) == 2
    bucket.always = Answer(503, "SlowDown")
    with pytest.raises(SourceUnavailableError, match="too busy"):
        source_of(bucket).scan()


def test_a_service_that_cannot_be_reached_is_reported(bucket: FailingBucket) -> None:
    nowhere = config_of(bucket, endpoint_url="http://127.0.0.1:9")
    with pytest.raises(SourceUnavailableError, match="cannot be reached"):
        build_source(nowhere, max_bytes=1).scan()


def test_missing_credentials_and_profiles_are_reported(
    bucket: FailingBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CredentialsError, match=r"profile \(nobody\)"):
        source_of(bucket, profile="nobody")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    buckets._clients.cache_clear()
    with pytest.raises(CredentialsError, match="there are no credentials"):
        source_of(bucket).scan()
    assert len(source_of(bucket, anonymous=True).scan().files) == 2
    assert "authorization" not in bucket.headers()[-1]


def test_a_transfer_that_breaks_off_goes_on_where_it_was(bucket: FailingBucket) -> None:
    source = source_of(bucket)
    large = next(file for file in source.scan().files if file.name == "b.jpg")
    bucket.requests.clear()
    bucket.answers = [Answer(after=1_200_000), Answer(after=0), Answer(503, "SlowDown")]
    assert source.read(large) == bucket.objects["b.jpg"]
    ranges = [headers.get("range") for headers in bucket.headers()]
    assert ranges[0] is None
    assert ranges[-1] is not None
    assert ranges[-1] != "bytes=0-"
    assert {headers["if-match"] for headers in bucket.headers()} == {f'"{large.version[:32]}"'}


def test_whoever_asks_pays_where_that_is_configured(bucket: FailingBucket) -> None:
    source = source_of(bucket, requester_pays=True)
    source.read(source.scan().files[0])
    assert {h["x-amz-request-payer"] for h in bucket.headers()} == {"requester"}


def test_one_object_that_is_refused_is_a_matter_of_that_object(bucket: FailingBucket) -> None:
    source = source_of(bucket)
    first, second = source.scan().files
    bucket.answers = [Answer(403, "AccessDenied")]
    with pytest.raises(SourceError, match=r"a\.jpg: access denied") as caught:
        source.read(first)
    assert not isinstance(caught.value, CredentialsError)
    bucket.answers = [Answer(404, "NoSuchKey")]
    with pytest.raises(FileVanishedError):
        source.read(second)
    bucket.answers = [Answer(403, "InvalidObjectState")]
    with pytest.raises(SourceError, match="is archived; restore it"):
        source.read(second)


def test_an_outage_is_no_fault_of_the_file(bucket: FailingBucket) -> None:
    config = config_of(bucket)
    reader = SourceReader([config], max_bytes=2**30)
    ref = build_source(config, max_bytes=2**30).scan().files[0]
    for answer in (Answer(503, "SlowDown"), Answer(403, "ExpiredToken")):
        bucket.always = answer
        with pytest.raises(OutageError) as caught:
            reader.read(ref)
        assert not isinstance(caught.value, SourceError)


def test_a_listing_that_fails_half_way_deletes_nothing(
    bucket: FailingBucket, tmp_path: Path
) -> None:
    with Store.open(tmp_path / "store") as store:
        source = source_of(bucket)
        assert ingest(source, store).files == 2
        bucket.always = Answer(403, "AccessDenied")
        with pytest.raises(CredentialsError):
            ingest(source, store)
        assert list(store.ledger.deletions()) == []
        bucket.always = None
        del bucket.objects["a.jpg"]
        assert ingest(source, store).deleted == 1
