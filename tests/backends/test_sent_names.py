"""Names under which pictures are sent: told apart by their hash, and never longer than a server takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aion_dagster.backends.aionvision_upload_rows import sent_name
from aion_dagster.backends.protocol import Original

LONGEST = 255


def original(name: str) -> Original:
    return Original("image", "a" * 64, name, "image/jpeg", 1, lambda: b"")


@given(st.text(min_size=1, max_size=400))
def test_every_name_begins_with_the_hash_and_is_short_enough(name: str) -> None:
    sent = sent_name(original(name))
    assert sent.startswith("a" * 64 + "-")
    assert len(sent) <= LONGEST


def test_a_persons_name_and_its_end_are_kept() -> None:
    assert sent_name(original("trip/one.JPG")) == f"{'a' * 64}-one.JPG"
    assert sent_name(original("no end")) == f"{'a' * 64}-no end"
    assert sent_name(original("x." + "y" * 300)).endswith("-x." + "y" * 20)
