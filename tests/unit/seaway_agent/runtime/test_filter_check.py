"""The check of a seccomp filter, on real processes without one: this test's children."""

import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from seaway_agent.kernel import procs
from seaway_agent.runtime import filter_check
from seaway_agent.runtime.filter_check import check_at_gate, check_behind_gate, name_of_init
from seaway_contracts.errors import SeawayError
from seaway_testing.waiting import until

pytestmark = pytest.mark.skipif(
    "\nSeccomp:\t0\n" not in Path("/proc/self/status").read_text(), reason="these processes are filtered themselves"
)
NO_FILTER = "the runtime crun gave the container no seccomp filter"


class Child:
    """A process that becomes `sleep` when it is let."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(["sh", "-c", "read go; exec sleep 1000"], stdin=subprocess.PIPE)
        self.pid, self.pidfd = self.process.pid, os.pidfd_open(self.process.pid)

    def name(self) -> bytes:
        return name_of_init(self.pid)

    def begin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()


@pytest.fixture
async def init() -> AsyncIterator[Child]:
    child = Child()
    await until(lambda: child.name() == b"sh")
    yield child
    child.process.kill()
    child.process.wait()
    os.close(child.pidfd)


async def test_at_the_gate(init: Child) -> None:
    with pytest.raises(SeawayError, match=NO_FILTER):
        check_at_gate(init.pid, init.pidfd, "crun")


async def test_one_that_has_ended_at_the_gate_is_left_to_that(init: Child) -> None:
    init.process.kill()
    await until(lambda: procs.has_ended(init.pidfd))
    check_at_gate(init.pid, init.pidfd, "crun")
    check_at_gate(init.pid, -1, "crun")


async def test_behind_the_gate(init: Child) -> None:
    init.begin()
    with pytest.raises(SeawayError, match=NO_FILTER):
        await check_behind_gate(init.pid, init.pidfd, "crun", b"sh")


async def test_a_program_that_has_ended_meanwhile(init: Child) -> None:
    init.begin()
    await until(lambda: init.name() == b"sleep")
    init.process.kill()
    await until(lambda: procs.has_ended(init.pidfd))
    with pytest.raises(SeawayError, match=NO_FILTER):
        await check_behind_gate(init.pid, init.pidfd, "crun", b"sh")
    init.process.wait()
    await check_behind_gate(init.pid, init.pidfd, "crun", b"sh")


async def test_an_init_that_has_ended_behind_the_gate(init: Child) -> None:
    init.process.kill()
    await until(lambda: procs.has_ended(init.pidfd))
    await check_behind_gate(init.pid, init.pidfd, "crun", b"sh")


async def test_an_init_that_stays_as_it_is(init: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filter_check, "_LOOKS", 3)
    with pytest.raises(SeawayError, match=NO_FILTER):
        await check_behind_gate(init.pid, init.pidfd, "crun", b"sh")
