"""Who may work on a store, across processes, and what remains of those that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from aion_dagster.errors import StorageError, StoreLockedError
from aion_dagster.storage.lock import TOKEN_VARIABLE, RunLock, StoreLock, sweep_runs

PRELUDE = "import sys; from pathlib import Path; from aion_dagster.storage.lock import *; root = Path(sys.argv[1])\n"


@contextmanager
def other_process(root: Path, expression: str, *, keep_token: bool = False) -> Iterator[int]:
    """A process that holds the lock `expression` until the block ends; yields its pid."""
    environment = dict(os.environ)
    if not keep_token:
        environment.pop(TOKEN_VARIABLE, None)
    code = f"{PRELUDE}with {expression}:\n    print('held', flush=True)\n    sys.stdin.read()\n"
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == "held\n"
        yield child.pid
    finally:
        child.communicate()


EXCLUSIVE = "StoreLock.exclusive(root, what='aion-dagster run')"
SHARED = "StoreLock.shared(root, what='aion-dagster dev')"


def test_an_exclusive_holder_keeps_everybody_out_and_is_named(tmp_path: Path) -> None:
    with other_process(tmp_path, EXCLUSIVE) as pid:
        for kind in (StoreLock.exclusive, StoreLock.shared):
            with (
                pytest.raises(StoreLockedError, match=f"aion-dagster run .pid {pid} on "),
                kind(tmp_path, wait=False),
            ):
                pass
    with StoreLock.exclusive(tmp_path, wait=False) as held:
        assert held.is_exclusive
        assert not held.inherited


def test_sharers_work_side_by_side_and_keep_an_exclusive_holder_out(tmp_path: Path) -> None:
    with (
        other_process(tmp_path, SHARED) as pid,
        StoreLock.shared(tmp_path, wait=False),
        pytest.raises(StoreLockedError, match=str(pid)),
        StoreLock.exclusive(tmp_path, wait=0.05),
    ):
        pass


def test_waiting_says_who_works_and_gets_the_lock(tmp_path: Path) -> None:
    said = []
    with other_process(tmp_path, EXCLUSIVE) as pid:

        def told(sentence: str) -> None:
            said.append(sentence)
            os.kill(pid, signal.SIGKILL)

        with StoreLock.exclusive(tmp_path, wait=True, on_wait=told):
            pass
    assert len(said) == 1
    assert f"pid {pid}" in said[0]


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    with other_process(tmp_path, EXCLUSIVE) as pid:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        with StoreLock.exclusive(tmp_path, wait=False):
            cards = list((tmp_path / "locks" / "holders").glob("*.json"))
            assert len(cards) == 1  # only ours: what the dead left is gone
    assert list((tmp_path / "locks" / "holders").iterdir()) == []


def test_children_work_under_the_lock_of_their_parent(tmp_path: Path) -> None:
    with StoreLock.exclusive(tmp_path) as held:
        assert not held.inherited
        with StoreLock.exclusive(tmp_path, wait=False) as inner:
            assert inner.inherited
        for lock in (EXCLUSIVE, SHARED):
            with other_process(tmp_path, lock, keep_token=True):
                pass
        with StoreLock.exclusive(tmp_path / "another", wait=False) as other:
            assert not other.inherited
            with StoreLock.shared(tmp_path, wait=False) as both:
                assert both.inherited
    assert TOKEN_VARIABLE not in os.environ


def test_locks_that_end_in_the_order_in_which_they_began_pass_nothing_on(tmp_path: Path) -> None:
    before = os.environ.get(TOKEN_VARIABLE)
    first, second = ExitStack(), ExitStack()
    first.enter_context(StoreLock.exclusive(tmp_path / "a"))
    second.enter_context(StoreLock.exclusive(tmp_path / "b"))
    first.close()
    with StoreLock.exclusive(tmp_path / "b", wait=False) as inner:
        assert inner.inherited
    second.close()
    assert os.environ.get(TOKEN_VARIABLE) == before


def test_the_token_of_a_dead_or_finished_holder_opens_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with StoreLock.exclusive(tmp_path):
        token = os.environ[TOKEN_VARIABLE]
    with other_process(tmp_path, EXCLUSIVE):
        for stale in (token, "../../../etc/passwd", "0" * 32):
            monkeypatch.setenv(TOKEN_VARIABLE, stale)
            with pytest.raises(StoreLockedError), StoreLock.shared(tmp_path, wait=False):
                pass


def test_others_see_whether_a_run_is_alive(tmp_path: Path) -> None:
    assert not RunLock.is_alive(tmp_path, "run-1")
    with RunLock(tmp_path, "run-1"):
        assert RunLock.is_alive(tmp_path, "run-1")
        assert not RunLock.is_alive(tmp_path, "run-2")
    assert not RunLock.is_alive(tmp_path, "run-1")


def test_a_killed_run_is_not_alive_and_its_lock_is_swept(tmp_path: Path) -> None:
    with other_process(tmp_path, "RunLock(root, 'run-1')") as pid, RunLock(tmp_path, "run-2"):
        assert RunLock.is_alive(tmp_path, "run-1")
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert not RunLock.is_alive(tmp_path, "run-1")
        assert sweep_runs(tmp_path) == 1
        assert RunLock.is_alive(tmp_path, "run-2")


def test_a_run_id_is_no_path(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no run id"):
        RunLock.is_alive(tmp_path, "../store")


@pytest.mark.parametrize("token", ["", "0" * 32])
def test_a_place_that_cannot_hold_a_lock_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, token)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"), StoreLock.exclusive(tmp_path / "file"):
        pass
