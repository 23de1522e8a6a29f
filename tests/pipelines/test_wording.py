"""Numbers and headings in sentences."""

from __future__ import annotations

from aion_dagster.pipelines.ranking import sentences_of
from aion_dagster.wording import plural


def test_one_is_not_many() -> None:
    assert [plural(n, "file") for n in (0, 1, 2)] == ["0 files", "1 file", "2 files"]
    assert [plural(n, "copy") for n in (1, 2)] == ["1 copy", "2 copies"]
    assert plural(2, "category") == "2 categories"
    assert [plural(2, w) for w in ("day", "batch", "box")] == ["2 days", "2 batches", "2 boxes"]


def test_headings_of_markdown_are_sentences_without_their_marks() -> None:
    text = "# Costs\n## Rent ##\nThe rent is 3 euros.\n\n### Other\nIt is C# code. #1 stays."
    assert sentences_of(text) == [
        "Costs",
        "Rent",
        "The rent is 3 euros.",
        "Other",
        "It is C# code.",
        "#1 stays.",
    ]
