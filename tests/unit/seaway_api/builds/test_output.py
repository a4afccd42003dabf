"""What a client of a build sees."""

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from seaway_api.builds.output import MOST_HELD, BuildOutput


async def _said(lines: int) -> list[bytes]:
    """What the client gets of a quiet build that says so many lines of 64 KB, and fails."""

    async def handle(request: web.Request) -> web.StreamResponse:
        output = BuildOutput(request, quiet=True)
        for number in range(lines):
            await output.say(f"{number} ".encode() + b"x" * (64 << 10) + b"\n")
        assert output.has_begun
        await output.fail(b"failed\n")
        assert output.response is not None
        return output.response

    app = web.Application()
    app.router.add_get("/", handle)
    async with TestClient(TestServer(app)) as client:
        return (await (await client.get("/")).read()).splitlines()


async def test_a_quiet_build_that_fails_shows_what_it_said() -> None:
    said = await _said(3)
    assert [line.split()[0] for line in said] == [b"0", b"1", b"2", b"failed"]


async def test_of_too_much_it_shows_the_last() -> None:
    said = await _said(1000)
    assert sum(map(len, said)) <= MOST_HELD
    assert said[-1] == b"failed" and said[-2].startswith(b"999 ") and len(said) > 2
