"""Recipes: fingerprints of many texts by hashing alone are those that following the steps gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aion_dagster.identity import digest
from aion_dagster.recipes import Digest, Recipe

fixed = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
steps = st.lists(
    st.lists(st.tuples(st.integers(-1, 20), fixed), min_size=1, max_size=4), max_size=6
)


@given(steps, st.lists(st.text("0123456789abcdef", min_size=64, max_size=64), min_size=1))
def test_a_recipe_gives_the_fingerprints_that_its_steps_give(
    planned: list[list[tuple[int, Any]]], texts: list[str]
) -> None:
    def follow(text: str, mix: Digest) -> Mapping[str, str]:
        """Each step hashes some of what came before, beside things that are fixed."""
        made = [text]
        for step in planned:
            made.append(mix([made[i] if 0 <= i < len(made) else value for i, value in step]))
        return {str(number): value for number, value in enumerate(made)}

    recipe = Recipe(follow)
    for text in texts:
        assert recipe.fingerprints(text) == follow(text, digest)


def test_what_is_fixed_may_look_like_a_fingerprint() -> None:
    known = "f" * 64

    def follow(text: str, mix: Digest) -> dict[str, str]:
        first = mix([text, known, {text: known}])
        return {"first": first, "second": mix({"of": [first, first], "beside": text})}

    recipe = Recipe(follow)
    for text in (known, "0" * 64):
        assert recipe.fingerprints(text) == follow(text, digest)
