"""Notifications of a bucket in an SQS queue: which objects to look at again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import unquote_plus

from aion_dagster.sources.s3_faults import faults

T = TypeVar("T")

MOST_MESSAGES: Final = 1_000
"""Messages that one page is made of, at most."""

_HIDDEN_SECONDS: Final = 300
"""How long a message that was received stays out of sight, unless it is deleted."""

_WAIT_SECONDS: Final = 1
"""Without waiting SQS asks only some of its servers, and may say that there is nothing."""

_AT_ONCE: Final = 10
"""Messages in one request; SQS allows no more."""

_LOOKS: Final = 8


@dataclass(slots=True)
class Heard:
    """What the messages of one page came to.

    Attributes:
        keys: objects of the bucket that something happened to.
        receipts: handles of the messages that are ours, to be deleted once their objects are recorded.
        foreign: messages about something else, which stay where they are.
        is_empty: the queue had no more.
    """

    keys: set[str] = field(default_factory=set)
    receipts: list[str] = field(default_factory=list)
    foreign: int = 0
    is_empty: bool = False


class ObjectEvents:
    """The queue that a bucket's notifications arrive in, straight from S3, through SNS or through EventBridge.

    Messages come several times, late, and in any order. So they only say where to look: what counts is what the bucket
    answers when it is asked for the object.
    """

    def __init__(self, client: Any, queue_url: str, bucket: str) -> None:
        """Follow `bucket` through a queue; `client` is a client of boto3 for SQS."""
        self._client = client
        self._queue_url = queue_url
        self._bucket = bucket

    def receive(self, deadline: float | None) -> Heard:
        """The next messages, until there are none, or enough, or the deadline has passed.

        Raises:
            CredentialsError: the service refuses the credentials, or does not allow to read the queue.
            SourceUnavailableError: it cannot be reached, or is too busy.
            SourceError: there is no such queue.
        """
        heard = Heard()
        while len(heard.receipts) + heard.foreign < MOST_MESSAGES:
            with self._faults("sqs:ReceiveMessage"):
                answer = self._client.receive_message(
                    QueueUrl=self._queue_url,
                    MaxNumberOfMessages=_AT_ONCE,
                    VisibilityTimeout=_HIDDEN_SECONDS,
                    WaitTimeSeconds=_WAIT_SECONDS,
                )
            messages = answer.get("Messages", [])
            for message in messages:
                keys = object_keys(message["Body"], self._bucket)
                if keys is None:
                    heard.foreign += 1
                else:
                    heard.keys |= keys
                    heard.receipts.append(message["ReceiptHandle"])
            if not messages:
                heard.is_empty = True
                break
            if deadline is not None and time.monotonic() >= deadline:
                break
        return heard

    def delete(self, receipts: Iterable[str]) -> None:
        """Take messages out of the queue; those that cannot be deleted come once more."""
        handles = list(receipts)
        for start in range(0, len(handles), _AT_ONCE):
            entries = [
                {"Id": str(number), "ReceiptHandle": handle}
                for number, handle in enumerate(handles[start : start + _AT_ONCE])
            ]
            with self._faults("sqs:DeleteMessage"):
                self._client.delete_message_batch(QueueUrl=self._queue_url, Entries=entries)

    def _faults(self, needs: str) -> Any:
        return faults(f"The queue {self._queue_url}", needs=f"{needs} on it")


def looked_at(look: Callable[[str], T], keys: Iterable[str]) -> dict[str, T]:
    """What `look` says about each key, several at a time."""
    ordered = sorted(keys)
    with ThreadPoolExecutor(_LOOKS, thread_name_prefix="s3-look") as pool:
        return dict(zip(ordered, pool.map(look, ordered), strict=True))


def object_keys(body: str, bucket: str) -> set[str] | None:
    """The keys of `bucket` that a message is about; none for a test message of S3, None for one about something else."""
    event = _json(body)
    if "Message" in event and "Records" not in event:  # an envelope of SNS
        event = _json(event["Message"])
    if event.get("Event") == "s3:TestEvent" and event.get("Bucket") == bucket:
        return set()
    keys = {unquote_plus(key) for name, key in _records(event) if name == bucket}
    detail = event.get("detail")
    if event.get("source") == "aws.s3" and isinstance(
        detail, Mapping
    ):  # EventBridge does not encode keys
        keys |= {key for name, key in [_place(detail)] if name == bucket}
    return keys or None


def _records(event: Mapping[str, Any]) -> list[tuple[str, str]]:
    records = event.get("Records")
    if not isinstance(records, list):
        return []
    places = [_place(r["s3"]) for r in records if isinstance(r, dict) and "s3" in r]
    return [place for place in places if place[1]]


def _place(described: Any) -> tuple[str, str]:
    """Bucket and key, empty where they are not said."""
    try:
        return str(described["bucket"]["name"]), str(described["object"]["key"])
    except (KeyError, TypeError):
        return "", ""


def _json(text: Any) -> Mapping[str, Any]:
    """A JSON object; empty where the text is none."""
    try:
        value = json.loads(text)
    except (ValueError, TypeError):
        return {}
    return value if isinstance(value, dict) else {}
