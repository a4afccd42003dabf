"""A git server that means harm: what it has git say takes no memory of the agent."""

import asyncio
import tracemalloc
from pathlib import Path

import pytest

from seaway_agent.build import remote
from seaway_agent.build.workspace import Workspace
from seaway_contracts.errors import SeawayError

_COMMIT = "1" * 40
_PIECES = 1000
_MOST = 1 << 30


def _packet(data: bytes) -> bytes:
    return f"{len(data) + 4:04x}".encode() + data


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Advertise a commit, and answer who wants it with a thousand remarks of 60 KB (gitprotocol-pack(5))."""
    head = await reader.readuntil(b"\r\n\r\n")
    if head.startswith(b"GET"):
        service = _packet(b"# service=git-upload-pack\n") + b"0000"
        refs = _packet(f"{_COMMIT} refs/heads/main\0side-band-64k\n".encode()) + b"0000"
        _answer(writer, b"advertisement", service + refs)
    else:
        _answer(writer, b"result", _packet(b"NAK\n"))
        for _ in range(_PIECES):
            writer.write(_packet(b"\x02" + b"x" * 60_000 + b"\n"))
            await writer.drain()
    writer.close()


def _answer(writer: asyncio.StreamWriter, kind: bytes, body: bytes) -> None:
    lines = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/x-git-upload-pack-" + kind
    writer.write(lines + b"\r\n\r\n" + body)


async def test_a_flood_of_remarks(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w" / "one", tmp_path / "mounts")
    workspace.make()
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    tracemalloc.start()
    try:
        with pytest.raises(SeawayError, match="unable to prepare context") as error:
            await remote.fetch(f"http://127.0.0.1:{port}/x.git#main", "Dockerfile", workspace, _MOST, lambda _: None)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
        assert "xxxx" in str(error.value) and len(str(error.value)) < 10_000
    finally:
        tracemalloc.stop()
        server.close()
