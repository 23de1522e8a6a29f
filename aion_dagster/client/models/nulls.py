"""Values that some servers leave null, or say more exactly, where the API promises one."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
"""A text; null is an empty one."""

Count = Annotated[int, BeforeValidator(lambda value: 0 if value is None else value)]
"""A whole number; null is 0."""

Rounded = Annotated[
    int, BeforeValidator(lambda value: round(value) if isinstance(value, float) else value)
]
"""A whole number, also where it comes with fractions."""

Flag = Annotated[bool, BeforeValidator(lambda value: False if value is None else value)]
"""Yes or no; null is no."""

Counts = Annotated[dict[str, int], BeforeValidator(lambda value: {} if value is None else value)]
"""Whole numbers by name; null is none at all."""
