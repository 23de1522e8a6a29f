"""Listings that are read by hand say what boto3 itself says of the objects."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

import boto3
import pytest
from botocore.session import Session
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster.resources.buckets import BucketResource, bucket_clients
from aion_dagster.source_configs import S3SourceConfig

NAMED = ("Key", "LastModified", "ETag", "Size", "StorageClass")
KEYS = ("a b/ü+&<>%25 '\".jpg", "plain.jpg", "folder/", "z/日本.png", "tab\there.jpg")


def test_objects_of_a_real_listing_are_the_same_as_boto3_reads_them(bucket: str) -> None:
    plain = boto3.client("s3")
    for number, key in enumerate(KEYS):
        plain.put_object(Bucket=bucket, Key=key, Body=b"x" * number, StorageClass="STANDARD_IA")
    config = S3SourceConfig(type="s3", bucket=bucket, name="pics")
    ours, _ = bucket_clients(config)
    for asked in ({}, {"MaxKeys": 2}, {"Prefix": "nothing"}, {"Delimiter": "/"}):
        expected = plain.list_objects_v2(Bucket=bucket, **asked)
        found = ours.list_objects_v2(Bucket=bucket, **asked)
        for answer in (expected, found):
            answer.pop("ResponseMetadata")
            answer.pop("RequestPayer", None)
        objects = [{n: o[n] for n in NAMED} for o in expected.pop("Contents", ())]
        assert found.pop("Contents", []) == objects
        assert found == expected


@pytest.fixture(scope="module")
def parse() -> Any:
    """What the client makes of the body of an answer."""
    client = BucketResource(region_name="eu-west-1").get_client()
    model = client.meta.service_model.operation_model("ListObjectsV2")
    parser = Session().get_component("response_parser_factory").create_parser("rest-xml")

    def parsed(body: bytes, *, by_hand: bool, status: int = 200) -> Any:
        answer = {"status_code": status, "headers": {}, "body": body, "context": {}}
        taken: dict[str, Any] = {}
        if by_hand:
            client.meta.events.emit(
                "before-parse.s3.ListObjectsV2",
                operation_model=model,
                response_dict=answer,
                customized_response_dict=taken,
            )
        return {**parser.parse(answer, model.output_shape), **taken}

    return parsed


def listing(objects: str, space: str = "", before: str = "") -> bytes:
    return (
        f"{before}<ListBucketResult{space}><Name>b</Name><IsTruncated>true</IsTruncated>{objects}"
        "</ListBucketResult>"
    ).encode()


TEXT = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), min_size=1)


@given(
    st.lists(st.tuples(TEXT, st.integers(0, 2**50), TEXT, st.booleans()), max_size=4),
    st.sampled_from(["", ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"']),
)
def test_whatever_keys_there_are_both_read_the_same(
    parse: Any, rows: list[tuple[str, int, str, bool]], space: str
) -> None:
    objects = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified>"
        f"<Size>{size}</Size><ETag>&quot;{escape(etag)}&quot;</ETag>"
        + ("<StorageClass>GLACIER</StorageClass>" if cold else "")
        + "</Contents>"
        for key, size, etag, cold in rows
    )
    body = listing(objects, space)
    assert parse(body, by_hand=True) == parse(body, by_hand=False)


@pytest.mark.parametrize(
    "body",
    [
        listing("<Contents><Size>1</Size></Contents>"),
        listing("<Contents><Key>a</Key><Size>1</Size></Contents>"),
        listing("<Contents><Key>a</Key></Contents>", before="<!DOCTYPE x>"),
        b"<Other><Contents/></Other>",
    ],
    ids=["no key", "no time", "a document type", "another answer"],
)
def test_answers_that_are_not_as_they_should_be_are_left_to_boto3(parse: Any, body: bytes) -> None:
    assert parse(body, by_hand=True) == parse(body, by_hand=False)
