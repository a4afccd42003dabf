"""An exec whose supervisor does not report in time; a script in the runtime's place."""

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
from seaway_agent.execs.bundles import ExecBundles
from seaway_agent.execs.supervised import SupervisedLaunch
from seaway_agent.execs.supervisor import supervisor
from seaway_agent.execs.supervisor.supervisor import ExecSupervisor, SupervisedExec
from seaway_agent.kernel import procs
from seaway_agent.kernel.launcher import Launcher
from seaway_agent.kernel.procs import Process
from seaway_contracts.errors import SeawayError


class Launched:
    """An exec that was ordered; its bundle is `bundle`."""

    def __init__(self, bundle: Path, workers: ThreadPoolExecutor) -> None:
        launcher = Launcher()
        supervisor = ExecSupervisor(launcher, bundle, 2)
        self._launch = SupervisedLaunch(ExecBundles(launcher, ()), launcher, workers, supervisor)
        self._shim: Any = SimpleNamespace(bundle=bundle)

    async def pid(self, supervised: SupervisedExec) -> int:
        return await self._launch._pid(self._shim, supervised)


@pytest.fixture
async def launched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Launched]:
    monkeypatch.setattr(supervisor, "_BEGINS_S", 0.01)
    monkeypatch.setattr(inherited, "_BEGINS_S", 0.05)
    with ThreadPoolExecutor(1) as workers:
        yield Launched(tmp_path, workers)


async def test_what_has_not_begun_has_failed(launched: Launched) -> None:
    """It is not tried again: that would take as long."""
    with pytest.raises(SeawayError, match="not begun it for minutes"):
        await launched.pid(SupervisedExec())


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Process]:
    """One that hangs."""
    words = [sys.executable, "-IS", "-c", "import sys; sys.stdin.read()", str(tmp_path / "pidfile")]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as hangs:
        found = procs.find(hangs.pid)
        assert found is not None
        yield found


async def test_what_hangs_is_ended(launched: Launched, runtime: Process) -> None:
    with pytest.raises(SeawayError, match="not begun it for minutes"):
        await launched.pid(SupervisedExec())
    assert not procs.alive(*runtime)


async def test_what_has_begun_untold_has_begun(launched: Launched, tmp_path: Path) -> None:
    (tmp_path / "pidfile").write_text(str(os.getpid()))
    assert await launched.pid(SupervisedExec()) == os.getpid()


async def test_what_a_killed_supervisor_has_not_begun_can_be_tried_again(launched: Launched) -> None:
    supervised = SupervisedExec()
    supervised.orphan()
    assert await launched.pid(supervised) == 0
