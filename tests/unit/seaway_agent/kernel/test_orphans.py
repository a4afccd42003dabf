import asyncio
import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator

import pytest

from seaway_agent.kernel import orphans, procs
from seaway_agent.kernel.procs import Process
from seaway_testing.waiting import until

_PR_SET_CHILD_SUBREAPER = 36


@pytest.fixture(autouse=True)
def adopting() -> Iterator[None]:
    orphans.become_subreaper()
    yield
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def orphan(code: int) -> Process:
    """One that outlived its parent and then ended."""
    words = ["sh", "-c", f"exec 3<&0; sh -c 'read word; exit {code}' <&3 & echo $!"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdin is not None and parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.wait()
        process = procs.child_of(os.getpid(), pid)
    assert process is not None, "it has come here"
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return process


def test_an_orphan_can_be_asked_how_it_ended_until_it_is_reaped() -> None:
    process = orphan(9)
    ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None and ended.si_status == 9
    os.waitpid(process.pid, 0)


def test_what_has_ended_is_reaped_when_it_is_seen_again() -> None:
    first = orphan(0)
    seen = orphans.reap(frozenset())
    assert first in seen and procs.find(first.pid) == first
    second = orphan(0)
    seen = orphans.reap(seen)
    assert second in seen and first not in seen and procs.find(first.pid) is None
    assert not orphans.reap(seen) and procs.find(second.pid) is None


def test_another_one_with_the_number_of_before_is_left_alone() -> None:
    process = orphan(0)
    orphans.reap(frozenset({Process(process.pid, process.started - 1)}))
    assert os.waitpid(process.pid, os.WNOHANG) == (process.pid, 0)


def test_what_runs_is_left_alone() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        process = procs.find(child.pid)
        assert process is not None and process not in orphans.reap(frozenset({process}))
        assert child.poll() is None


async def test_they_are_reaped_for_ever() -> None:
    process = orphan(0)
    looking = asyncio.ensure_future(orphans.reap_forever(0.01))
    try:
        await until(lambda: procs.find(process.pid) is None)
    finally:
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking
