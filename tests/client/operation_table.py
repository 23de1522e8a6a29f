"""The table of `docs/aionvision-client.md`: every operation of the API and the methods that call it.

Run as `python tests/client/operation_table.py` it writes the table into the page; with `--check` it only says whether the
page is up to date.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from operation_cases import CASES, OMITTED

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "aionvision-client.md"
BEGIN: Final = "<!-- table of operations: written by tests/client/operation_table.py -->"
END: Final = "<!-- end of the table -->"
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")

OF_OLDER_SERVERS: Final = frozenset(
    {
        "POST /uploads/request-presigned-url",
        "POST /uploads/confirm",
        "POST /uploads/batch-prepare",
        "POST /uploads/batch-confirm",
        "POST /user-files/upload/initiate",
        "POST /user-files/upload/confirm",
        "POST /datasets",
        "GET /datasets",
        "GET /datasets/{dataset_id}",
        "POST /datasets/{dataset_id}/export",
        "GET /datasets/statistics/summary",
    }
)
"""Operations that the vendor's documents describe and the published specification does not have."""


def methods() -> dict[str, list[str]]:
    """The methods that call each operation, in the order of the cases."""
    found: dict[str, list[str]] = {}
    for case in CASES:
        names = found.setdefault(case.operation, [])
        if case.method not in names:
            names.append(case.method)
    return found


def table() -> str:
    """The table as Markdown, with what is left out below it."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    called = methods()
    yield f"{len(called)} operations; † stands in the vendor's documents only, and older servers have it."
    yield ""
    yield "| operation | method of the client |"
    yield "|---|---|"
    for operation in sorted(called, key=_place):
        mark = " †" if operation in OF_OLDER_SERVERS else ""
        names = ", ".join(f"`{name}`" for name in called[operation])
        yield f"| `{operation}`{mark} | {names} |"
    yield ""
    yield f"Left out on purpose ({sum(map(len, OMITTED.values()))} operations):"
    yield ""
    for reason, operations in OMITTED.items():
        listed = ", ".join(f"`{operation}`" for operation in sorted(operations, key=_place))
        yield f"- {reason}: {listed}"


def _place(operation: str) -> tuple[str, int]:
    method, _, path = operation.partition(" ")
    return path, _METHODS.index(method)


def page_with_table(text: str) -> str:
    """A page with its table written anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def main() -> None:
    """Write the table into the page, or check it."""
    text = PAGE.read_text("utf-8")
    wanted = page_with_table(text)
    if "--check" in sys.argv[1:]:
        sys.exit(0 if text == wanted else f"{PAGE} is stale: run {sys.argv[0]}")
    PAGE.write_text(wanted, "utf-8")


if __name__ == "__main__":
    main()
