"""The examples of `docs/aionvision-client.md` run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from aionvision_server.fixtures import Server
from operation_cases.made import picture
from operation_table import PAGE

from aion_dagster.client import AionVision

EXAMPLES: Final = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs(example: str, aionvision: Server, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(3):
        (tmp_path / "photos" / f"{number}.png").write_bytes(picture(number))
    (tmp_path / "photo.jpg").write_bytes(picture(9))
    variables = {"AIONVISION_API_KEY": aionvision.key, "AIONVISION_BASE_URL": aionvision.url}
    done = subprocess.run(
        [sys.executable, "-c", example],
        cwd=tmp_path,
        env={**variables, "AIONVISION_POLLING_INTERVAL": "0.01"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    aionvision.assert_clean()


def test_every_error_stands_in_the_table_of_errors() -> None:
    table = PAGE.read_text("utf-8").partition("## Errors")[2].partition("## Retries")[0]
    classes = {name for name in vars(AionVision.__mro__[2]) if name.endswith("Error")}
    classes |= {n for c in AionVision.__mro__ for n in vars(c) if n.endswith("Error")}
    assert classes == set(re.findall(r"`(\w+Error)`", table))
