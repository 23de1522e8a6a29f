"""Cells that a spreadsheet would run as a formula get an apostrophe in front."""

from __future__ import annotations

import re
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

_FORMULA: Final = r"^[=+\-@\t\r]"
"""How a cell begins that spreadsheets run (OWASP, CSV injection)."""

_NEUTRALISED: Final = re.compile(r"^'[=+\-@\t\r]")


def neutral(cell: str) -> str:
    """A cell that no spreadsheet runs."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def plain(cell: str) -> str:
    """The reverse of `neutral`."""
    return cell[1:] if _NEUTRALISED.match(cell) else cell


def neutral_table(table: pa.Table) -> tuple[pa.Table, dict[str, pa.ChunkedArray]]:
    """The table with neutral text cells, and for each column that changed which rows did."""
    changed: dict[str, pa.ChunkedArray] = {}
    for i, field in enumerate(table.schema):
        if not pa.types.is_string(field.type):
            continue
        column = table.column(i)
        risky = pc.match_substring_regex(column, _FORMULA).fill_null(False)
        if not pc.any(risky).as_py():
            continue
        quoted = pc.binary_join_element_wise("'", column, "")
        table = table.set_column(i, field, pc.if_else(risky, quoted, column))
        changed[field.name] = risky
    return table, changed
