"""The agent's end of a supervisor, which a test plays."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from seaway_agent.core.instructions import Exit
from seaway_agent.execs.supervisor.orders import MOST
from seaway_agent.execs.supervisor.supervisor import ExecSupervisor, SupervisorGone
from seaway_agent.kernel.launcher import Launcher
from seaway_agent.kernel.spawn import Spawned
from seaway_contracts.errors import SeawayError
from seaway_testing.waiting import GUARD_S, until


@pytest.fixture
def program() -> Iterator[Spawned]:
    """One that ends at once."""
    with subprocess.Popen([sys.executable, "-IS", "-c", ""]) as child:
        yield Spawned(child.pid, os.pidfd_open(child.pid))


class Played:
    """A supervisor, and our end of its socket."""

    def __init__(self, program: Spawned) -> None:
        self.supervisor = ExecSupervisor(Launcher(), Path("/nowhere"), 2)
        ours, self.socket = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.supervisor._connect(ours, program)

    def tell(self, **words: object) -> None:
        self.socket.send(orjson.dumps(words))


@pytest.fixture
async def played(program: Spawned) -> Played:
    return Played(program)


async def test_what_is_told(played: Played) -> None:
    supervised = played.supervisor.begin("a", b"order", [])
    assert played.socket.recv(MOST) == b"order"
    played.tell(id="a", pid=7)
    played.tell(id="a", code=3, time_ns=5)
    assert await played.supervisor.begun(supervised) == 7
    ends: list[Exit] = []
    supervised.listen(ends.append, pytest.fail)
    await until(lambda: ends)
    assert ends == [Exit(3, 5)]
    played.socket.close()
    await until(lambda: played.supervisor._socket is None)


async def test_of_one_that_has_ended_all_is_heard_at_once_and_it_is_let_go(played: Played) -> None:
    """Without a turn of the event loop, so that who tries again has another one."""
    begun, waits = played.supervisor.begin("a", b"", []), played.supervisor.begin("b", b"", [])
    played.tell(id="a", pid=7)
    played.socket.close()
    with pytest.raises(SupervisorGone):
        played.supervisor.begin("c", b"", [])
    assert begun.begun.result() == 7
    assert played.supervisor._socket is None
    with pytest.raises(SeawayError, match="the supervisor of execs ended"):
        await played.supervisor.begun(waits)
    await until(lambda: begun.orphaned)


async def test_one_that_says_nothing(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seaway_agent.execs.supervisor.supervisor._BEGINS_S", 0.01)
    supervised = played.supervisor.begin("a", b"", [])
    with pytest.raises(TimeoutError):
        await played.supervisor.begun(supervised)
    played.tell(id="a", pid=7)
    async with asyncio.timeout(GUARD_S):
        assert await supervised.begun == 7, "it is heard all the same"
    played.supervisor.close()
