"""Notifications of a bucket through a real queue: what they name is looked at, and forgotten only once it is recorded."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from aion_dagster.errors import CursorExpiredError, SourceError, StorageError
from aion_dagster.ingest import Ingested, ingest
from aion_dagster.resources.sources import build_source
from aion_dagster.source_configs import S3SourceConfig
from aion_dagster.sources import s3_queue
from aion_dagster.sources.s3_queue import object_keys
from aion_dagster.sources.source import Source
from aion_dagster.storage import Store


class Watched:
    """A bucket whose notifications arrive in a queue, and a store that follows them."""

    def __init__(self, bucket: str, folder: Path) -> None:
        self.bucket = bucket
        self.s3, self.sqs = boto3.client("s3"), boto3.client("sqs")
        self.queue = self.sqs.create_queue(QueueName=uuid.uuid4().hex)["QueueUrl"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])
        wanted = {
            "QueueArn": attributes["Attributes"]["QueueArn"],
            "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
        }
        self.s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [wanted]}
        )
        self.store = Store.open(folder)

    def source(self, **more: Any) -> Source:
        config = {"bucket": self.bucket, "name": "pics", "queue_url": self.queue, **more}
        return build_source(S3SourceConfig.model_validate(config), max_bytes=1_000_000)

    def put(self, key: str, data: bytes = b"x") -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=data)

    def delete(self, key: str) -> None:
        self.s3.delete_object(Bucket=self.bucket, Key=key)

    def ingest(self, **more: Any) -> Ingested:
        return ingest(self.source(), self.store, **more)

    def waiting(self) -> int:
        """Messages in the queue, those out of sight included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=names)
        return sum(int(number) for number in found["Attributes"].values())

    def until_all_are_visible(self) -> None:
        """Wait until messages that were received and not deleted can be received again."""
        name = "ApproximateNumberOfMessagesNotVisible"
        end = time.monotonic() + 60
        while time.monotonic() < end:
            found = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=[name])
            if found["Attributes"][name] == "0":
                return
            time.sleep(0.05)
        raise AssertionError("messages stay out of sight")

    def live(self) -> dict[str, bytes]:
        """What the ledger says to be there, as it is read."""
        source = self.source()
        files = {
            file.uri: file
            for batch in self.store.ledger.batches()
            for file in self.store.manifests.read(batch.key)
        }
        return {v.uri.rpartition("/")[2]: source.read(files[v.uri]) for v in self._current()}

    def _current(self) -> list[Any]:
        return list(self.store.ledger.current_versions())


@pytest.fixture
def watched(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    monkeypatch.setattr(s3_queue, "_WAIT_SECONDS", 0)
    monkeypatch.setattr(s3_queue, "_HIDDEN_SECONDS", 2)
    with ExitStack() as stack:
        made = Watched(bucket, tmp_path / "store")
        stack.callback(made.store.close)
        yield made


def test_after_one_listing_only_what_is_notified_is_looked_at(watched: Watched) -> None:
    watched.put("a.jpg")
    watched.put("b.jpg")
    first = watched.ingest()
    assert (first.files, first.complete) == (2, True)
    watched.put("sub folder/c+d ü.jpg", b"new")
    watched.put("a.jpg", b"changed")
    watched.put("labels.json")
    watched.delete("b.jpg")
    second = watched.ingest()
    # Messages from before the listing are in the queue as well, and change nothing.
    assert (second.files, second.deleted, second.complete) == (2, 1, True)
    assert watched.live() == {"a.jpg": b"changed", "c%2Bd%20%C3%BC.jpg": b"new"}
    assert watched.waiting() == 0
    third = watched.ingest()
    assert (third.scanned, third.files, third.deleted) == (0, 0, 0)


def test_what_came_and_went_and_came_again_is_as_it_is_now(watched: Watched) -> None:
    watched.put("a.jpg", b"1")
    watched.ingest()
    watched.delete("a.jpg")
    watched.ingest()
    assert watched.live() == {}
    watched.put("a.jpg", b"1")
    watched.put("b.jpg", b"2")
    watched.delete("b.jpg")
    watched.put("c.jpg", b"3")
    done = watched.ingest()
    assert (done.files, done.deleted) == (1, 0)
    assert watched.live() == {"a.jpg": b"1", "c.jpg": b"3"}


def test_messages_stay_until_their_objects_are_recorded(watched: Watched) -> None:
    watched.ingest()
    for number in range(4):
        watched.put(f"{number}.jpg")
    before = watched.waiting()
    manifests = watched.store.manifests.root
    manifests.rename(manifests.with_name("away"))
    manifests.write_text("no folder")
    with pytest.raises(StorageError):
        watched.ingest()
    assert watched.waiting() == before
    manifests.unlink()
    manifests.with_name("away").rename(manifests)
    watched.until_all_are_visible()
    assert watched.ingest().files == 4
    assert watched.waiting() == 0


def test_messages_whose_files_find_no_room_in_a_tick_come_again(
    watched: Watched,
) -> None:
    watched.ingest()
    for number in range(5):
        watched.put(f"{number}.jpg")
    taken = 0
    for _ in range(3):
        done = watched.ingest(batch_files=2, max_batches=1)
        taken += done.files
        watched.until_all_are_visible()
    assert taken == 5
    assert len(watched.live()) == 5
    watched.ingest()
    assert watched.waiting() == 0


def test_foreign_and_test_messages_are_passed_over(watched: Watched) -> None:
    watched.ingest()
    bodies = [
        "no JSON",
        "[]",
        json.dumps({"Records": [{"s3": {"bucket": {"name": "other"}, "object": {"key": "k"}}}]}),
        json.dumps({"Records": "nonsense"}),
    ]
    for body in bodies:
        watched.sqs.send_message(QueueUrl=watched.queue, MessageBody=body)
    watched.put("a.jpg")
    done = watched.ingest()
    assert done.files == 1
    assert [p.detail for p in done.problems] == [
        f"{len(bodies)} messages in the queue are not about this bucket and were left there; give its notifications a "
        "queue of their own"
    ]
    assert watched.waiting() == len(bodies)


RECORD = {"s3": {"bucket": {"name": "b"}, "object": {"key": "a+b%2Bc.jpg"}}}


@pytest.mark.parametrize(
    ("event", "keys"),
    [
        ({"Records": [RECORD]}, {"a b+c.jpg"}),
        ({"Type": "Notification", "Message": json.dumps({"Records": [RECORD]})}, {"a b+c.jpg"}),
        (
            {
                "source": "aws.s3",
                "detail": {"bucket": {"name": "b"}, "object": {"key": "a+b%2Bc.jpg"}},
            },
            {"a+b%2Bc.jpg"},
        ),
        ({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}, set()),
        ({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "other"}, None),
        ({"Records": []}, None),
        ({"Records": [{"s3": {"bucket": {"name": "b"}, "object": {}}}]}, None),
        ({"Records": [{"s3": None}, 3, RECORD]}, {"a b+c.jpg"}),
        ({"source": "aws.ec2", "detail": {}}, None),
    ],
)
def test_messages_of_s3_sns_and_eventbridge_are_understood(
    event: dict[str, Any], keys: set[str] | None
) -> None:
    assert object_keys(json.dumps(event), "b") == keys


def test_the_bucket_is_listed_again_after_the_interval(watched: Watched) -> None:
    watched.put("a.jpg")
    watched.ingest()
    quiet = {"QueueConfigurations": []}
    watched.s3.put_bucket_notification_configuration(
        Bucket=watched.bucket, NotificationConfiguration=quiet
    )
    watched.put("missed.jpg")
    assert watched.ingest().files == 0
    source = watched.source()
    source.relist_seconds = timedelta(0).total_seconds()
    assert ingest(source, watched.store).files == 1


def test_objects_in_a_store_are_not_taken_from_notifications_either(watched: Watched) -> None:
    watched.ingest()
    watched.put("lib/aion-store.json")
    watched.put("lib/exports/main/x.jpg")
    watched.put("lib.jpg")
    assert watched.ingest().files == 1
    assert watched.waiting() == 0


def test_a_bucket_that_is_gone_is_no_bucket_whose_objects_were_deleted(watched: Watched) -> None:
    watched.put("a.jpg")
    watched.ingest()
    watched.delete("a.jpg")
    watched.s3.delete_bucket(Bucket=watched.bucket)
    with pytest.raises(SourceError, match="no such bucket"):
        watched.ingest()
    assert len(list(watched.store.ledger.current_versions())) == 1


def test_without_a_queue_everything_is_listed_again(watched: Watched) -> None:
    watched.put("a.jpg")
    watched.ingest()
    plain = watched.source(queue_url=None)
    with pytest.raises(CursorExpiredError):
        plain.scan(str(watched.source().scan().resume))
    watched.put("b.jpg")
    assert ingest(plain, watched.store).files == 1
    watched.put("c.jpg")
    assert ingest(plain, watched.store).files == 1


def test_other_rules_of_what_is_taken_have_everything_listed_again(watched: Watched) -> None:
    watched.put("a.jpg")
    watched.put("a.txt")
    watched.ingest()
    assert ingest(watched.source(include=["*.txt", "*.jpg"]), watched.store).files == 1
    assert len(watched.live()) == 2


def test_a_queue_that_is_not_there_is_named(watched: Watched) -> None:
    watched.ingest()
    watched.sqs.delete_queue(QueueUrl=watched.queue)
    with pytest.raises(SourceError, match="The queue http"):
        watched.ingest()
