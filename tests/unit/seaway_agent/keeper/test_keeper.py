"""The agent's end of a keeper, which a test plays."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import orjson
import pytest

from seaway_agent.core.instructions import Exit
from seaway_agent.keeper.keeper import Keeper, KeeperGone
from seaway_agent.keeper.orders import MOST
from seaway_agent.kernel.spawn import Spawned
from seaway_contracts.errors import SeawayError
from seaway_testing.waiting import GUARD_S, until


@pytest.fixture
def program() -> Iterator[Spawned]:
    """One that ends at once."""
    with subprocess.Popen([sys.executable, "-IS", "-c", ""]) as child:
        yield Spawned(child.pid, os.pidfd_open(child.pid))


class Played:
    """A keeper, and our end of its socket."""

    def __init__(self, program: Spawned) -> None:
        self.keeper = Keeper()
        ours, self.socket = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.keeper._hold(ours, program)

    def tell(self, **words: object) -> None:
        self.socket.send(orjson.dumps(words))


@pytest.fixture
async def played(program: Spawned) -> Played:
    return Played(program)


async def test_what_is_told(played: Played) -> None:
    kept = played.keeper.begin("a", b"order", [])
    assert played.socket.recv(MOST) == b"order"
    played.tell(id="a", pid=7)
    played.tell(id="a", code=3, time_ns=5)
    assert await played.keeper.begun(kept) == 7
    ends: list[Exit] = []
    kept.listen(ends.append, pytest.fail)
    await until(lambda: ends)
    assert ends == [Exit(3, 5)]
    played.socket.close()
    await until(lambda: played.keeper._socket is None)


async def test_of_one_that_has_ended_all_is_heard_at_once_and_it_is_let_go(played: Played) -> None:
    """Without a turn of the event loop, so that who tries again has another one."""
    begun, waits = played.keeper.begin("a", b"", []), played.keeper.begin("b", b"", [])
    played.tell(id="a", pid=7)
    played.socket.close()
    with pytest.raises(KeeperGone):
        played.keeper.begin("c", b"", [])
    assert begun.begun.result() == 7
    assert played.keeper._socket is None
    with pytest.raises(SeawayError, match="the keeper of execs ended"):
        await played.keeper.begun(waits)
    await until(lambda: begun.orphaned)


async def test_one_that_says_nothing(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seaway_agent.keeper.keeper._BEGINS_S", 0.01)
    kept = played.keeper.begin("a", b"", [])
    with pytest.raises(TimeoutError):
        await played.keeper.begun(kept)
    played.tell(id="a", pid=7)
    async with asyncio.timeout(GUARD_S):
        assert await kept.begun == 7, "it is heard all the same"
    played.keeper.close()
