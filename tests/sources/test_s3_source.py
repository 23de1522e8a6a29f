"""A bucket as a source: every object once, in the order of its keys, and exactly the version that was listed."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aion_dagster.errors import (
    FileChangedError,
    FileTooLargeError,
    FileVanishedError,
    SourceError,
)
from aion_dagster.resources.sources import SourceReader, build_source
from aion_dagster.source_configs import S3SourceConfig
from aion_dagster.sources.s3_objects import Bucket
from aion_dagster.sources.source import Source
from aion_dagster.values import FileRef

Put = Callable[..., Any]


@pytest.fixture
def client(bucket: str) -> Any:
    """For the server that the environment leads to."""
    return boto3.client("s3")


@pytest.fixture
def put(bucket: str, client: Any) -> Put:
    def put_object(key: str, data: bytes = b"x", **more: Any) -> Any:
        return client.put_object(Bucket=bucket, Key=key, Body=data, **more)

    return put_object


def source_of(bucket: str, prefix: str = "", **more: Any) -> Source:
    config = S3SourceConfig(type="s3", bucket=bucket, prefix=prefix, name="pics", **more)
    return build_source(config, max_bytes=1_000_000)


def scan(source: Source) -> list[FileRef]:
    return list(source.scan().files)


def names(source: Source) -> list[str]:
    return [file.name for file in scan(source)]


def test_objects_are_listed_in_the_order_of_their_keys_without_what_is_no_picture(
    bucket: str, put: Put
) -> None:
    for key in ("b.jpg", "a/2.png", "a/1.jpg", "a/labels.json", ".hidden/x.jpg", "B.jpg", "a/"):
        put(key)
    assert names(source_of(bucket)) == ["B.jpg", "a/1.jpg", "a/2.png", "b.jpg"]
    assert names(source_of(bucket, include_hidden=True))[0] == ".hidden/x.jpg"
    assert names(source_of(bucket, exclude=["a"])) == ["B.jpg", "b.jpg"]
    assert names(source_of(bucket, include=["a/*.json"])) == ["a/labels.json"]


def test_names_are_relative_to_the_folder_that_the_prefix_ends_in(bucket: str, put: Put) -> None:
    for key in ("2024/may/a.jpg", "2024/may-2/b.jpg", "2023/c.jpg"):
        put(key)
    assert names(source_of(bucket, "2024/")) == ["may-2/b.jpg", "may/a.jpg"]
    assert names(source_of(bucket, "2024/may-")) == ["may-2/b.jpg"]


KEYS = st.lists(
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=12
    ),
    max_size=8,
    unique=True,
)


@example(["a b+c%2F.jpg", "ü\n\t.jpg", "\U0010ffff", "z&<>'\"?#.png"])
@given(KEYS)
def test_any_key_has_a_uri_of_its_own_and_a_name_that_does_as_a_path(keys: list[str]) -> None:
    names = Bucket("pics", "bucket", "")
    uris = [names.uri(key) for key in keys]
    assert len(set(uris)) == len(keys)
    assert [names.key(uri) for uri in uris] == keys
    assert all(uri.isascii() and " " not in uri and "\n" not in uri for uri in uris)
    for name in map(names.file_name, keys):
        assert all(part not in (".", "..") for part in name.split("/"))
        assert not name.startswith("/")
        assert all(ord(c) >= 32 for c in name)


@given(
    st.lists(
        st.from_regex(r"[a-c+ %/é]{1,6}[a-c]", fullmatch=True).filter(
            lambda k: "//" not in k and not k.startswith("/")
        ),
        min_size=1,
        max_size=9,
        unique=True,
    ),
    st.booleans(),
)
def test_a_scan_that_is_interrupted_after_every_request_lists_every_object_once(
    s3_endpoint: str, keys: list[str], version_ids: bool
) -> None:
    access = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=s3_endpoint, **access)
    bucket = f"scan-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=bucket)
    for key in keys:
        client.put_object(Bucket=bucket, Key=key, Body=b"x")
    from aion_dagster.sources import s3

    source = s3.S3Source("pics", bucket, client, include=["*"], version_ids=version_ids)
    listed: list[str] = []
    cursor = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(s3, "_MOST_KEYS", 2)
        while True:
            page = source.scan(cursor, deadline=0.0)
            listed += [file.uri for file in page.files]
            cursor = page.cursor
            if cursor is None:
                break
    names = Bucket("pics", bucket, "")
    assert listed == [names.uri(key) for key in sorted(keys, key=str.encode)]


def test_a_version_is_what_was_written_and_no_time(bucket: str, put: Put) -> None:
    put("a.jpg", b"one")
    source = source_of(bucket)
    (first,) = scan(source)
    put("a.jpg", b"two")
    (second,) = scan(source)
    put("a.jpg", b"one")
    (third,) = scan(source)
    assert first.version != second.version
    assert first.version == third.version
    assert first.size_bytes == second.size_bytes == 3
    assert first.modified_at.tzinfo is not None


def test_bytes_are_those_of_the_version_that_was_listed(bucket: str, put: Put, client: Any) -> None:
    data = bytes(range(256)) * 12_000
    put("a.jpg", data)
    source = build_source(
        S3SourceConfig(type="s3", bucket=bucket, name="pics"), max_bytes=len(data)
    )
    (ref,) = scan(source)
    assert source.read(ref) == data
    assert source.local_path(ref) is None
    put("a.jpg", data[::-1])
    with pytest.raises(FileChangedError, match=r"a\.jpg: the object changed after it was listed"):
        source.read(ref)
    client.delete_object(Bucket=bucket, Key="a.jpg")
    with pytest.raises(FileVanishedError, match=r"a\.jpg: the object is gone"):
        source.read(ref)
    with pytest.raises(FileTooLargeError, match="1,000,000 are allowed"):
        source_of(bucket).read(ref)


def test_an_empty_object_is_read(bucket: str, put: Put) -> None:
    put("empty.jpg", b"")
    source = source_of(bucket)
    assert source.read(*scan(source)) == b""


@pytest.mark.parametrize("version_ids", [True, False])
def test_a_versioned_bucket_shows_what_is_current(
    bucket: str, put: Put, client: Any, version_ids: bool
) -> None:
    put("before.jpg", b"0")
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    source = source_of(bucket, version_ids=version_ids)
    for data in (b"1", b"2", b"3"):
        put("a.jpg", data)
    put("gone.jpg", b"4")
    client.delete_object(Bucket=bucket, Key="gone.jpg")
    files = {file.name: file for file in scan(source)}
    assert list(files) == ["a.jpg", "before.jpg"]
    assert source.read(files["a.jpg"]) == b"3"
    assert source.read(files["before.jpg"]) == b"0"
    put("a.jpg", b"5")
    if version_ids:
        assert source.read(files["a.jpg"]) == b"3"
    else:
        with pytest.raises(FileChangedError):
            source.read(files["a.jpg"])


def test_an_archived_object_is_there_and_is_not_taken_in(bucket: str, put: Put) -> None:
    put("a.jpg")
    put("cold.jpg", StorageClass="DEEP_ARCHIVE")
    put("cool.jpg", StorageClass="GLACIER_IR")
    page = source_of(bucket).scan()
    assert [file.name for file in page.files] == ["a.jpg", "cool.jpg"]
    assert page.present == (f"s3://{bucket}/cold.jpg",)


def test_a_store_in_the_bucket_is_no_source(bucket: str, put: Put) -> None:
    for key in ("a.jpg", "lib/aion-store.json", "lib/exports/x.jpg", "lib/tables/y.png", "z.jpg"):
        put(key)
    assert names(source_of(bucket)) == ["a.jpg", "z.jpg"]
    for prefix in ("lib/", "lib/a"):
        with pytest.raises(SourceError, match="is a store: choose another prefix"):
            source_of(bucket, prefix).scan()


def test_a_bucket_that_is_not_there_is_named(bucket: str) -> None:
    source = source_of(f"{bucket}-other")
    for act in (source.check, source.scan):
        with pytest.raises(SourceError, match=f"{bucket}-other: there is no such bucket"):
            act()


def test_files_are_read_by_reference_as_long_as_their_source_is_configured(
    bucket: str, put: Put
) -> None:
    put("a.jpg", b"bytes")
    config = S3SourceConfig(type="s3", bucket=bucket, name="pics")
    reader = SourceReader([config], max_bytes=100)
    (ref,) = scan(build_source(config, max_bytes=100))
    assert reader.read(ref) == b"bytes"
    with pytest.raises(SourceError, match="source 'pics' is configured no longer"):
        SourceReader([], max_bytes=100).read(ref)
    foreign = FileRef("pics", "s3://other/a.jpg", "a.jpg", ref.version, 5, ref.modified_at)
    with pytest.raises(SourceError, match="is no object of the bucket"):
        reader.read(foreign)
