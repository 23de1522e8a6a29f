"""Every field of every result type that the vendor's documents list, held against the client's: names and types."""

from __future__ import annotations

from typing import Any, Final

import pytest
import seed_tables as seeds
from client_types import classes, fits, member_types, type_named
from seed_tables import Field

pytestmark = [
    pytest.mark.needs_shared,
    pytest.mark.skipif(not seeds.SEEDS.is_dir(), reason=f"needs {seeds.SEEDS}"),
]

FIELDS: Final = seeds.fields() if seeds.SEEDS.is_dir() else []

OTHERWISE: Final = {
    "README: DocumentSearchResult.score": "the specification has it nullable, under another name",
    "reference: DocumentSearchResult.page_numbers": "the README has it nullable",
}
"""Fields whose type in the client is wider than what the documents say, and why."""


def owner_of(field: Field) -> type:
    (found,) = classes()[field.owner]
    return found


def test_the_documents_were_read_whole() -> None:
    """A change of their layout would otherwise leave nothing to compare."""
    assert len(FIELDS) == 407
    assert len({f.owner for f in FIELDS}) == 38


@pytest.mark.parametrize("field", FIELDS, ids=str)
def test_a_type_has_the_field(field: Field) -> None:
    has: Any = member_types(owner_of(field), field.name)
    if field.type is not None and str(field) not in OTHERWISE:
        assert fits(has, type_named(field.type), owner_of(field)), f"{field} is {has}"


@pytest.mark.parametrize("name", OTHERWISE)
def test_an_exception_is_one(name: str) -> None:
    wrong = [f for f in FIELDS if str(f) == name and f.type is not None]
    assert wrong
    assert not all(
        fits(member_types(owner_of(f), f.name), type_named(f.type or ""), owner_of(f))
        for f in wrong
    )
