"""What `aion-dagster COMMAND --help` says."""

from __future__ import annotations

import pytest

from aion_dagster.cli import COMMANDS, main


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_defaults_that_say_something_and_each_once(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    for empty in ("default: None", "default: False", "default: []"):
        assert [line for line in lines if empty in line] == []
    assert [line for line in lines if line.count("(default") > 1] == []
    if command == "run":
        assert any("--jobs N" in line and "(default: 1)" in line for line in lines)
