import asyncio
import socket
from pathlib import Path

import pytest

from seaway_agent.streams import stdio
from seaway_agent.streams.stdio import all_accepted, any_unaccepted
from seaway_testing.waiting import GUARD_S


def listener(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    made.bind(str(path))
    made.listen()
    return made


def test_waiting_and_accepted() -> None:
    listening = b"0000000066b9b3ed: 00000002 00000000 00010000 0005 01 14538295 /proc/self/fd/12/attach\n"
    waits = b"00000000a27bda42: 00000003 00000000 00000000 0005 02     0 /proc/self/fd/12/attach\n"
    taken = b"00000000a27bda42: 00000003 00000000 00000000 0005 03 14538357 /proc/self/fd/12/attach\n"
    other = b"00000000a27bda42: 00000003 00000000 00000000 0001 02     0 /run/other/attach\n"
    assert any_unaccepted(listening + waits)
    assert not any_unaccepted(listening + taken + other)
    assert not any_unaccepted(b"Num       RefCount Protocol Flags    Type St Inode Path\n")


async def test_it_is_over_when_the_shim_has_accepted(tmp_path: Path) -> None:
    with listener(tmp_path / "attach") as shim, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(str(tmp_path / "attach"))
        waiting = asyncio.ensure_future(all_accepted())
        await asyncio.wait([waiting], timeout=0.02)
        assert not waiting.done()
        with shim.accept()[0]:
            assert await asyncio.wait_for(waiting, GUARD_S)


async def test_a_shim_that_hangs_holds_nobody_up_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "_PATIENCE_S", 0.01)
    with listener(tmp_path / "attach"), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(str(tmp_path / "attach"))
        assert not await all_accepted()
