"""Connections to a builder that isn't well: whoever builds is told, and nobody waits without end."""

import asyncio
from pathlib import Path

import pytest
from tests.unit.seaway_api.buildkit.pipes import PipeEnd, connected, pipe

from seaway_api.buildkit import connections, control, dockerfile
from seaway_api.buildkit.builder import GivenBuilder, NoBuilder
from seaway_api.buildkit.connections import ask_builder, builder_connection
from seaway_api.buildkit.control import DISK_USAGE
from seaway_api.buildkit.dockerfile import read_dockerfile
from seaway_api.buildkit.grpc import Code, GrpcError
from seaway_api.buildkit.http2 import Stream
from seaway_api.buildkit.sessions import BuildSession
from seaway_testing.ports import free_port


class Odd:
    """A builder that says this, or nothing, and goes then or stays."""

    def __init__(self, words: bytes, *, stays: bool, place: str = "container x") -> None:
        self.place = place
        self._words = words
        self._stays = stays
        self.ours, self._theirs = pipe()

    async def connect(self) -> PipeEnd:
        if self._words:
            await self._theirs.write(self._words)
        if not self._stays:
            self._theirs.close()
        return self.ours

    async def is_there(self) -> bool:
        return True


async def test_a_silent_builder_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "GREETING_S", 0.05)
    builder = Odd(b"", stays=True)
    with pytest.raises(NoBuilder, match="container x has taken a connection, but said nothing"):
        await ask_builder(builder, DISK_USAGE, b"")
    assert builder.ours.closed


@pytest.mark.parametrize("words", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_what_is_no_builder(words: bytes) -> None:
    for place, advice in (("tcp://127.0.0.1:1", "without TLS"), ("container x", "try again")):
        builder = Odd(words, stays=False, place=place)
        with pytest.raises(NoBuilder, match=advice):
            async with asyncio.timeout(10), builder_connection(builder):
                pass
        assert builder.ours.closed


async def test_a_place_where_nobody_listens(tmp_path: Path) -> None:
    for place in (f"tcp://127.0.0.1:{free_port()}", f"unix://{tmp_path}/none"):
        with pytest.raises(NoBuilder, match=f"can't be reached at {place}: .*Start buildkitd there"):
            await GivenBuilder(place).connect()


async def test_a_client_that_sends_no_dockerfile_ends_its_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """To go on without it would take the image of a registry for one of the same name that is here."""
    monkeypatch.setattr(dockerfile, "PATIENCE_S", 0.05)

    async def silent(stream: Stream) -> None:
        await stream.gone()

    async with connected(silent) as client:
        with pytest.raises(GrpcError, match="has not sent the Dockerfile my/Dockerfile") as failed:
            await read_dockerfile(client, "dockerfile", "my/Dockerfile")
    assert failed.value.code == Code.UNAVAILABLE


async def test_a_client_that_offers_no_files_has_no_dockerfile() -> None:
    async def refuse(stream: Stream) -> None:
        raise ConnectionResetError("no such method")

    async with connected(refuse) as client:
        assert await read_dockerfile(client, "dockerfile", "Dockerfile") is None


async def test_a_session_that_does_not_come_ends_its_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "SESSION_S", 0.05)
    with pytest.raises(GrpcError, match="session one of this build has not come") as failed:
        await control.client_of(BuildSession("one", "me"))
    assert failed.value.code == Code.UNAVAILABLE
