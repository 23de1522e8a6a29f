"""Names made from content: the same for the same, whatever the order, and in the shape that partitions need."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from aion_dagster import identity
from aion_dagster.values import FileRef

REFS = st.lists(
    st.builds(
        FileRef,
        source=st.text(max_size=5),
        uri=st.text(max_size=9),
        name=st.text(max_size=9),
        version=st.text(max_size=5),
        size_bytes=st.integers(0, 2**62),
        modified_at=st.datetimes(
            min_value=datetime(1, 1, 2), max_value=datetime(9999, 1, 1), timezones=st.just(UTC)
        ),
    ),
    max_size=6,
)


@given(source=st.text(max_size=100), files=REFS, seed=st.randoms())
def test_a_batch_key_has_its_shape_and_does_not_depend_on_order(source, files, seed) -> None:
    key = identity.batch_key(source, files)
    assert identity.BATCH_KEY_PATTERN.fullmatch(key)
    shuffled = list(files)
    seed.shuffle(shuffled)
    assert identity.batch_key(source, shuffled) == key


@given(files=REFS.filter(bool), data=st.data())
def test_another_version_or_place_gives_another_digest(files: list[FileRef], data) -> None:
    index = data.draw(st.integers(0, len(files) - 1))
    old = files[index]
    for change in (
        {"version": old.version + "x"},
        {"uri": old.uri + "x"},
        {"size_bytes": old.size_bytes + 1},
    ):
        values = {f: getattr(old, f) for f in FileRef.__dataclass_fields__} | change
        changed = [*files[:index], FileRef(**values), *files[index + 1 :]]
        assert identity.manifest_digest(changed) != identity.manifest_digest(files)


def test_a_batch_key_names_source_and_day() -> None:
    moment = datetime(2024, 5, 6, 23, 59, tzinfo=UTC)
    key = identity.batch_key("My Photos (2024)", [FileRef("s", "u", "n", "v", 1, moment)])
    assert key.startswith("my-photos-2024-20240506-")
    assert len(key.rpartition("-")[2]) == 12


@given(content=st.binary(max_size=50))
def test_an_image_id_is_a_uuid_in_which_the_hash_is_seen(content: bytes) -> None:
    sha256 = hashlib.sha256(content).hexdigest()
    made = identity.image_id(sha256)
    assert str(uuid.UUID(made)) == made
    assert made[:8] == sha256[:8]
    assert identity.image_id(sha256) == made


@given(text=st.text(max_size=200), limit=st.integers(1, 60))
def test_a_slug_is_never_empty_and_never_too_long(text: str, limit: int) -> None:
    made = identity.slug(text, limit=limit)
    assert identity.BATCH_KEY_PATTERN.fullmatch(made)
    assert len(made) <= max(limit, len("source"))


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert identity.digest({"a": 1, "b": [2]}) == identity.digest({"b": [2], "a": 1})
    assert identity.digest({"a": 1}) != identity.digest({"a": 2})
