"""An exec whose supervisor says nothing for too long; a script in the runtime's place."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from seaway_agent.execs import inherited
from seaway_agent.execs.supervised import SupervisedLaunch
from seaway_agent.execs.supervisor import supervisor as supervisor
from seaway_agent.execs.supervisor.supervisor import ExecSupervisor, SupervisedExec
from seaway_agent.kernel import procs
from seaway_agent.kernel.procs import Process
from seaway_contracts.errors import SeawayError


@pytest.fixture
async def launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SupervisedLaunch]:
    monkeypatch.setattr(supervisor, "_BEGINS_S", 0.01)
    monkeypatch.setattr(inherited, "_BEGINS_S", 0.05)
    plan: Any = SimpleNamespace(shim=SimpleNamespace(pid_file=str(tmp_path / "pidfile")))
    with ThreadPoolExecutor(1) as workers:
        node: Any = SimpleNamespace(supervisor=ExecSupervisor(), workers=workers)
        yield SupervisedLaunch(node, plan, lambda _: None)


async def test_what_has_not_begun_has_failed(launch: SupervisedLaunch) -> None:
    """It is not tried again: that would take as long."""
    with pytest.raises(SeawayError, match="not begun it for minutes"):
        await launch._pid(SupervisedExec())


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Process]:
    """One that hangs."""
    words = [sys.executable, "-IS", "-c", "import sys; sys.stdin.read()", str(tmp_path / "pidfile")]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as hangs:
        found = procs.find(hangs.pid)
        assert found is not None
        yield found


async def test_what_hangs_is_ended(launch: SupervisedLaunch, runtime: Process) -> None:
    with pytest.raises(SeawayError, match="not begun it for minutes"):
        await launch._pid(SupervisedExec())
    assert not procs.alive(*runtime)


async def test_what_has_begun_untold_has_begun(launch: SupervisedLaunch, tmp_path: Path) -> None:
    (tmp_path / "pidfile").write_text(str(os.getpid()))
    assert await launch._pid(SupervisedExec()) == os.getpid()


async def test_what_a_killed_supervisor_has_not_begun_can_be_tried_again(launch: SupervisedLaunch) -> None:
    supervised = SupervisedExec()
    supervised.orphan()
    assert await launch._pid(supervised) == 0
