"""An exec whose keeper says nothing for too long; a script in the runtime's place."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from seaway_agent.execs import held
from seaway_agent.execs.kept import KeptLaunch
from seaway_agent.keeper import keeper
from seaway_agent.keeper.keeper import Keeper, Kept
from seaway_agent.kernel import procs
from seaway_agent.kernel.procs import Process
from seaway_contracts.errors import SeawayError


@pytest.fixture
async def launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KeptLaunch]:
    monkeypatch.setattr(keeper, "_BEGINS_S", 0.01)
    monkeypatch.setattr(held, "_BEGINS_S", 0.05)
    plan: Any = SimpleNamespace(shim=SimpleNamespace(pid_file=str(tmp_path / "pidfile")))
    with ThreadPoolExecutor(1) as workers:
        node: Any = SimpleNamespace(keeper=Keeper(), workers=workers)
        yield KeptLaunch(node, plan, lambda _: None)


async def test_what_has_not_begun_has_failed(launch: KeptLaunch) -> None:
    """It is not tried again: that would take as long."""
    with pytest.raises(SeawayError, match="not begun it for minutes"):
        await launch._pid(Kept())


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Process]:
    """One that hangs."""
    words = [sys.executable, "-IS", "-c", "import sys; sys.stdin.read()", str(tmp_path / "pidfile")]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as hangs:
        found = procs.find(hangs.pid)
        assert found is not None
        yield found


async def test_what_hangs_is_ended(launch: KeptLaunch, runtime: Process) -> None:
    with pytest.raises(SeawayError, match="not begun it for minutes"):
        await launch._pid(Kept())
    assert not procs.alive(*runtime)


async def test_what_has_begun_untold_has_begun(launch: KeptLaunch, tmp_path: Path) -> None:
    (tmp_path / "pidfile").write_text(str(os.getpid()))
    assert await launch._pid(Kept()) == os.getpid()


async def test_what_a_killed_keeper_has_not_begun_can_be_tried_again(launch: KeptLaunch) -> None:
    kept = Kept()
    kept.orphan()
    assert await launch._pid(kept) == 0
