"""The check of a seccomp filter, on real processes without one: this test's children."""

import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from seaway_agent.kernel import procs
from seaway_agent.runtime import filter_check
from seaway_agent.runtime.filter_check import FilterCheck
from seaway_contracts.errors import SeawayError
from seaway_testing.waiting import GUARD_S, until

pytestmark = pytest.mark.skipif(
    "\nSeccomp:\t0\n" not in Path("/proc/self/status").read_text(), reason="these processes are filtered themselves"
)
NO_FILTER = "the runtime crun gave the container no seccomp filter"


class Init:
    """A process that becomes `sleep` when it is let."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(["sh", "-c", "read go; exec sleep 1000"], stdin=subprocess.PIPE)
        self.pid, self.pidfd = self.process.pid, os.pidfd_open(self.process.pid)

    def name(self) -> str:
        return Path(f"/proc/{self.pid}/comm").read_text().strip()

    def check(self, *, late: bool) -> FilterCheck:
        return FilterCheck(self.pid, self.pidfd, "crun", late=late)

    def passes(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    async def end(self) -> None:
        """It is left a zombie."""
        self.process.kill()
        await until(lambda: procs.has_ended(self.pidfd))


@pytest.fixture
async def init() -> AsyncIterator[Init]:
    made = Init()
    await until(lambda: made.name() == "sh")
    yield made
    made.process.kill()
    made.process.wait()
    os.close(made.pidfd)


async def test_a_start_without_a_filter_is_refused(init: Init) -> None:
    with pytest.raises(SeawayError, match=NO_FILTER):
        init.check(late=False).before_start()


async def test_an_init_that_ended_before_the_start_is_not_refused(init: Init) -> None:
    await init.end()
    init.check(late=False).before_start()
    FilterCheck(init.pid, -1, "crun", late=False).before_start()


async def test_what_was_checked_before_the_start_is_not_checked_again(init: Init) -> None:
    await init.check(late=False).after_start()
    assert init.process.poll() is None


async def test_a_started_program_without_a_filter_is_killed(init: Init) -> None:
    check = init.check(late=True)
    check.before_start()
    init.passes()
    with pytest.raises(SeawayError, match=NO_FILTER):
        await check.after_start()
    assert init.process.wait(GUARD_S) == -9


async def test_a_program_that_has_ended_meanwhile(init: Init) -> None:
    check = init.check(late=True)
    check.before_start()
    init.passes()
    await until(lambda: init.name() == "sleep")
    await init.end()
    with pytest.raises(SeawayError, match=NO_FILTER):
        await check.after_start()
    init.process.wait()
    await check.after_start()


async def test_an_init_that_ended_after_the_start(init: Init) -> None:
    check = init.check(late=True)
    check.before_start()
    await init.end()
    await check.after_start()


async def test_an_init_that_stays_as_it_is(init: Init, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filter_check, "_LOOKS", 3)
    check = init.check(late=True)
    check.before_start()
    with pytest.raises(SeawayError, match=NO_FILTER):
        await check.after_start()
    assert init.process.wait(GUARD_S) == -9
