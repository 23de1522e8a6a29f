"""Every rule of what makes a dataset load everywhere has a test with its number in the name."""

from __future__ import annotations

import re
from pathlib import Path

RULES = range(1, 31)
TESTS = Path(__file__).resolve().parents[1]


def test_every_rule_has_a_test():
    named = re.compile(r"^ *def test_\w*?rule_(\d+)_", re.MULTILINE)
    found = {int(n) for path in TESTS.rglob("test_*.py") for n in named.findall(path.read_text())}
    assert found == set(RULES)
