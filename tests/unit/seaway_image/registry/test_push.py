"""Pushes to a registry on the loopback that misbehaves on order."""

import asyncio
import itertools
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from tests.unit.seaway_image.registry.hostile_registry import (
    Handler,
    HostileRegistry,
    endless,
    hostile_registry,
    refusing,
)

from seaway_contracts.errors import SeawayError
from seaway_docker.references import parse_reference
from seaway_image.archives.load import load
from seaway_image.oci.digests import Digest
from seaway_image.registry import session as registry_module
from seaway_image.registry import upload as upload_module
from seaway_image.registry.credentials import Credentials
from seaway_image.registry.endpoints import RegistrySettings
from seaway_image.registry.pull import PullOrder, Pulls
from seaway_image.registry.push import Pushes, PushOrder
from seaway_image.registry.transport import HttpTransport, Timeouts
from seaway_image.registry.upload import UploadTimeouts
from seaway_image.store.image_store import ImageStore
from seaway_image.store.remote_blobs import RemoteBlob
from seaway_kit.tasks import Tasks
from seaway_testing.waiting import until

Make = Callable[..., Any]
_MB = 1 << 20


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "_BACKOFF_S", 0.001)


@pytest.fixture
async def hostile() -> AsyncIterator[HostileRegistry]:
    async with hostile_registry() as registry:
        yield registry


@dataclass
class Pusher:
    """An image of one layer of a few megabytes that can't be compressed, under names of one's choice."""

    store: ImageStore
    pushes: Pushes
    pulls: Pulls
    image: Digest
    make: Callable[[UploadTimeouts], Pushes]
    waits: list[float] = field(default_factory=list)

    @property
    def layer(self) -> Any:
        return self.store.table.images[self.image].layers[0]

    async def push(self, name: str, credentials: Credentials | None = None) -> list[str]:
        """The lines of all but progress."""
        await self.store.tag(self.image, name)
        order = PushOrder(parse_reference(name), credentials or Credentials())
        lines = [json.loads(progress.line()) async for progress in self.pushes.push(order)]
        return [line["status"] for line in lines if line.get("status", "Pushing") != "Pushing"]


@pytest.fixture
async def pusher(store: ImageStore, make_image: Make, chunked: Make) -> AsyncIterator[Pusher]:
    """As the image service has it, but that it does not wait."""
    image = make_image(os.urandom(3 * _MB))
    loaded = await load(store, chunked(image.archive("thing:1"), 1 << 16))
    transport, tasks = HttpTransport(timeouts=Timeouts(silence=5)), Tasks("test")
    await transport.open()
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    def make(timeouts: UploadTimeouts) -> Pushes:
        return Pushes(store, transport, RegistrySettings(), tasks, timeouts=timeouts, sleep=sleep)

    pulls = Pulls(store, transport, RegistrySettings(), tasks)
    yield Pusher(store, make(UploadTimeouts()), pulls, loaded.images[0].id, make, waits)
    await tasks.close()
    await transport.close()
    assert [path.name for path in store.blobs.tmp.iterdir()] == []


async def _arrived(hostile: HostileRegistry, pusher: Pusher) -> None:
    """The registry has config, layer and the manifest that names them."""
    manifest = json.loads(hostile.manifests["1"])
    assert manifest["config"]["digest"] == pusher.image
    for blob in (manifest["config"], *manifest["layers"]):
        assert len(hostile.blobs[blob["digest"]]) == blob["size"]


async def test_an_upload_that_broke_off_goes_on(hostile: HostileRegistry, pusher: Pusher) -> None:
    hostile.faults.drop_at = [_MB, _MB]
    lines = await pusher.push(f"{hostile.host}/a:1")
    assert lines.count("Retrying in 1 second") == 2 and "Pushed" in lines
    patches = [(start, end) for method, start, end in hostile.bodies if method == "PATCH" and end > start]
    assert all(before[1] == after[0] for before, after in itertools.pairwise(patches)), patches
    assert len(patches) == 3
    await _arrived(hostile, pusher)


async def test_an_upload_that_is_forgotten_begins_again(hostile: HostileRegistry, pusher: Pusher) -> None:
    hostile.faults.drop_at, hostile.faults.forgets = [_MB], True
    assert "Pushed" in await pusher.push(f"{hostile.host}/a:1")
    await _arrived(hostile, pusher)


async def test_five_tries_are_enough(hostile: HostileRegistry, pusher: Pusher) -> None:
    hostile.faults.drop_at, hostile.faults.forgets = [_MB] * 20, True
    with pytest.raises(SeawayError):
        await pusher.push(f"{hostile.host}/a:1")
    assert len(hostile.bodies) == 5
    assert hostile.manifests == {}


async def test_a_registry_that_takes_no_more_is_given_up(hostile: HostileRegistry, pusher: Pusher) -> None:
    hostile.faults.stall_at = _MB // 2
    pusher.pushes = pusher.make(UploadTimeouts(stall=0.1, commit=0.1))
    with pytest.raises(SeawayError, match="i/o timeout"):
        await pusher.push(f"{hostile.host}/a:1")
    assert hostile.manifests == {}


async def test_a_lost_answer_costs_no_second_upload(hostile: HostileRegistry, pusher: Pusher) -> None:
    hostile.faults.swallow = True
    assert "Pushed" in await pusher.push(f"{hostile.host}/a:1")
    assert sum(end - start for _, start, end in hostile.bodies) < 4 * _MB
    await _arrived(hostile, pusher)


@pytest.mark.parametrize("claim", ["0-99999999999", "nonsense", "", "1-5", "bytes 0-5/6", "0-" + "9" * 30])
async def test_claims_to_have_what_was_not_sent(hostile: HostileRegistry, pusher: Pusher, claim: str) -> None:
    """It is not believed: what it has is sent anew, whole."""
    hostile.faults.ranges = lambda _: claim
    assert "Pushed" in await pusher.push(f"{hostile.host}/a:1")
    assert [(method, start) for method, start, _ in hostile.bodies[:2]] == [("PATCH", 0), ("PUT", 0)]
    await _arrived(hostile, pusher)


async def test_a_registry_that_stays_where_it_was(hostile: HostileRegistry, pusher: Pusher) -> None:
    hostile.faults.chunk_min, hostile.faults.ranges = 1, lambda _: "0-0"
    with pytest.raises(SeawayError, match="the registry stays at 0 bytes"):
        await pusher.push(f"{hostile.host}/a:1")


async def test_a_registry_that_stores_something_else(hostile: HostileRegistry, pusher: Pusher) -> None:
    hostile.faults.digest = "sha256:" + "0" * 64
    with pytest.raises(SeawayError, match="the registry has stored"):
        await pusher.push(f"{hostile.host}/a:1")
    assert hostile.manifests == {}
    assert (await pusher.store.get(pusher.image)).repo_digests == ()


async def test_a_registry_that_pretends_to_have_the_blob(hostile: HostileRegistry, pusher: Pusher) -> None:
    async def pretend(request: web.Request) -> web.Response | None:
        if request.method == "HEAD" and request.path.rpartition("/")[2] not in hostile.blobs:
            return web.Response(headers={"Content-Length": "3"})
        return None

    hostile.before.append(pretend)
    assert "Pushed" in await pusher.push(f"{hostile.host}/a:1")
    await _arrived(hostile, pusher)


@pytest.mark.parametrize("status", [429, 503, 500, 502])
async def test_a_busy_registry_is_asked_again(hostile: HostileRegistry, pusher: Pusher, status: int) -> None:
    hostile.before.append(refusing("/uploads/", status, 2))
    assert "Pushed" in await pusher.push(f"{hostile.host}/a:1")


async def test_the_registry_says_when_to_come_again(hostile: HostileRegistry, pusher: Pusher) -> None:
    hostile.before.append(refusing("/uploads/", 429, 1, Retry_After="3"))
    lines = await pusher.push(f"{hostile.host}/a:1")
    assert [line for line in lines if line.startswith("Retrying")] == [
        "Retrying in 3 seconds",
        "Retrying in 2 seconds",
        "Retrying in 1 second",
    ]
    assert sum(pusher.waits) == 3


@pytest.mark.parametrize("status", [401, 403, 405])
async def test_a_refusal_is_not_repeated(hostile: HostileRegistry, pusher: Pusher, status: int) -> None:
    hostile.before.append(refusing("/uploads/", status, 99))
    with pytest.raises(SeawayError):
        await pusher.push(f"{hostile.host}/a:1")
    assert hostile.methods("/uploads/") == ["POST"]


async def test_chunks_where_the_registry_wants_such(
    hostile: HostileRegistry, pusher: Pusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload_module, "_CHUNK", _MB)
    hostile.faults.chunk_min = 1
    assert "Pushed" in await pusher.push(f"{hostile.host}/a:1")
    assert [end - start for method, start, end in hostile.bodies if method == "PATCH"][:3] == [_MB] * 3
    await _arrived(hostile, pusher)


async def test_chunks_where_a_body_is_too_large(
    hostile: HostileRegistry, pusher: Pusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream breaks off first; then the size is known, and refused."""
    monkeypatch.setattr(upload_module, "_CHUNK", _MB)
    hostile.faults.max_body, hostile.faults.drop_at, hostile.faults.forgets = _MB, [_MB // 2], True
    assert "Pushed" in await pusher.push(f"{hostile.host}/a:1")
    assert [end - start for method, start, end in hostile.bodies if method == "PATCH"][1:4] == [_MB] * 3
    await _arrived(hostile, pusher)


async def test_a_mount_that_is_done(hostile: HostileRegistry, pusher: Pusher) -> None:
    await pusher.push(f"{hostile.host}/one:1")
    hostile.faults.mounts = True
    hostile.before.append(refusing("/two/blobs/sha256", 404, 99, "HEAD"))
    before = len(hostile.bodies)
    assert "Mounted from one" in await pusher.push(f"{hostile.host}/two:1")
    assert sum(end - start for _, start, end in hostile.bodies[before:]) < _MB


@pytest.mark.parametrize("status", [202, 401, 404, 500])
async def test_a_mount_that_is_not_done(hostile: HostileRegistry, pusher: Pusher, status: int) -> None:
    await pusher.push(f"{hostile.host}/one:1")
    hostile.blobs.clear()

    async def refuse(request: web.Request) -> web.Response | None:
        return web.Response(status=status) if "mount" in request.query and status != 202 else None

    hostile.before.append(refuse)
    assert "Pushed" in await pusher.push(f"{hostile.host}/two:1")
    assert ("mount" in hostile.requests[-1].query) is False
    await _arrived(hostile, pusher)


async def test_what_the_registry_has_lost_is_sent_again(hostile: HostileRegistry, pusher: Pusher) -> None:
    await pusher.push(f"{hostile.host}/one:1")
    hostile.blobs.clear()
    assert "Pushed" in await pusher.push(f"{hostile.host}/one:1")
    await _arrived(hostile, pusher)


def _basic(realm: str = "r") -> Handler:
    """Wants a name and a password for everything."""

    async def handler(request: web.Request) -> web.Response | None:
        if "Authorization" in request.headers:
            return None
        return web.Response(status=401, headers={"WWW-Authenticate": f'Basic realm="{realm}"'})

    return handler


async def test_credentials_stay_with_their_host(hostile: HostileRegistry, pusher: Pusher) -> None:
    """The registry wants blobs sent elsewhere, and is itself elsewhere after a redirect."""
    async with hostile_registry() as storage:
        hostile.before.append(_basic())

        async def shared(request: web.Request) -> web.Response | None:
            storage.uploads, storage.blobs = hostile.uploads, hostile.blobs
            if "/blobs/uploads/" in request.path and request.method == "GET":
                return web.Response(status=307, headers={"Location": f"http://{storage.host}{request.path}"})
            return None

        hostile.before.append(shared)
        hostile.faults.place = lambda path: f"http://{storage.host}{path}"
        storage.faults.drop_at = [_MB]
        storage.faults.place = hostile.faults.place
        lines = await pusher.push(f"{hostile.host}/a:1", Credentials("ann", "secret"))
        assert "Pushed" in lines
        assert storage.requests and not any("Authorization" in one.headers for one in storage.requests)
        assert any("Authorization" in one.headers for one in hostile.requests)
    await _arrived(hostile, pusher)


async def test_storage_that_asks_for_credentials_gets_none(hostile: HostileRegistry, pusher: Pusher) -> None:
    async with hostile_registry() as storage:
        hostile.before.append(_basic())
        storage.before.append(_basic())
        hostile.faults.place = lambda path: f"http://{storage.host}{path}"
        with pytest.raises(SeawayError, match="unauthorized: authentication required"):
            await pusher.push(f"{hostile.host}/a:1", Credentials("ann", "secret"))
        assert not any("Authorization" in one.headers for one in storage.requests)


@pytest.mark.parametrize(
    "place",
    ["file:///etc/passwd", "http://169.254.169.254/latest", "http://ann:secret@127.0.0.1/x", "http://[::", "gopher:x"],
)
async def test_places_to_which_nothing_is_sent(hostile: HostileRegistry, pusher: Pusher, place: str) -> None:
    hostile.faults.place = lambda _: place
    with pytest.raises(SeawayError, match=r"upload to .* is refused"):
        await pusher.push(f"{hostile.host}/a:1")
    assert hostile.methods("/uploads/") == ["POST"]


async def test_credentials_are_asked_for_in_a_loop(hostile: HostileRegistry, pusher: Pusher) -> None:
    challenge = {"WWW-Authenticate": f'Bearer realm="http://{hostile.host}/token",service="s"'}

    async def loop(request: web.Request) -> web.Response | None:
        if request.path == "/token":
            return web.json_response({"token": "t"})
        return web.Response(status=401, headers=challenge)

    hostile.before.append(loop)
    with pytest.raises(SeawayError, match="unauthorized: authentication required"):
        await pusher.push(f"{hostile.host}/a:1")
    assert len(hostile.requests) < 20


@pytest.mark.parametrize("part", ["/uploads/", "/token"])
async def test_answers_without_an_end(hostile: HostileRegistry, pusher: Pusher, part: str) -> None:
    if part == "/token":
        hostile.before.append(refusing("/a/", 401, 99, WWW_Authenticate=f'Bearer realm="http://{hostile.host}/token"'))
    hostile.before.append(endless(part, 200 if part == "/token" else 400))
    with pytest.raises(SeawayError):
        await pusher.push(f"{hostile.host}/a:1")


async def test_a_token_is_asked_for_all_that_a_push_needs(hostile: HostileRegistry, pusher: Pusher) -> None:
    await pusher.push(f"{hostile.host}/lib/one:1")
    challenge = {"WWW-Authenticate": f'Bearer realm="http://{hostile.host}/token",scope="repository:lib/two:pull"'}

    async def guard(request: web.Request) -> web.Response | None:
        if request.path == "/token":
            return web.json_response({"token": "t"})
        return (
            None if request.headers.get("Authorization") == "Bearer t" else web.Response(status=401, headers=challenge)
        )

    hostile.before.append(guard)
    await pusher.push(f"{hostile.host}/lib/two:1")
    asked = [request.query.getall("scope") for request in hostile.requests if request.path == "/token"]
    assert asked == [["repository:lib/two:pull,push", "repository:lib/one:pull"]]


async def test_pushes_at_once_share_an_upload(hostile: HostileRegistry, pusher: Pusher) -> None:
    hostile.faults.stall_at = _MB
    names = [f"{hostile.host}/a:{n}" for n in (1, 2)]
    pushing = [asyncio.ensure_future(pusher.push(name)) for name in names]
    await until(lambda: bool(hostile.uploads) and any(len(one) >= _MB for one in hostile.uploads.values()))
    hostile.faults.stall_at = None
    hostile.released.set()
    lines = await asyncio.gather(*pushing)
    assert all("Pushed" in one for one in lines)
    assert hostile.methods("/uploads/").count("PATCH") == 1


async def test_a_client_that_goes_takes_its_push_along(hostile: HostileRegistry, pusher: Pusher) -> None:
    hostile.faults.stall_at = _MB
    await pusher.store.tag(pusher.image, f"{hostile.host}/a:1")
    lines = pusher.pushes.push(PushOrder(parse_reference(f"{hostile.host}/a:1")))
    async for _ in lines:
        if any(len(one) >= _MB for one in hostile.uploads.values()):
            break
    await lines.aclose()
    await until(lambda: "DELETE" in hostile.methods("/uploads/"))
    await until(lambda: not list(pusher.store.blobs.tmp.iterdir()))
    assert hostile.manifests == {}


async def test_a_layer_that_rotted_is_not_pushed(hostile: HostileRegistry, pusher: Pusher) -> None:
    path = pusher.store.blobs.path(pusher.layer.digest)
    data = bytearray(path.read_bytes())
    data[_MB] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(SeawayError, match="is damaged on disk"):
        await pusher.push(f"{hostile.host}/a:1")
    assert hostile.manifests == {}


async def test_hints_that_are_wrong_do_no_harm(hostile: HostileRegistry, pusher: Pusher) -> None:
    for repository in (f"{hostile.host}/a", f"{hostile.host}/b", "elsewhere.test/a"):
        pusher.store.sources.add(
            RemoteBlob(
                diff_id=pusher.layer.diff_id,
                digest=Digest("sha256:" + "1" * 64),
                size=5,
                compression="gzip",
                repository=repository,
            )
        )
    assert "Pushed" in await pusher.push(f"{hostile.host}/a:1")
    await _arrived(hostile, pusher)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"tags":["ok","../../etc"]}', "holds what is none"),
        (b'{"tags":{"a":1}}', "holds what is none"),
        (b'{"tags":["' + b'","'.join(b"t%d" % n for n in range(10_001)) + b'"]}', "more than 10000 tags"),
        (b"[", "not valid JSON"),
    ],
)
async def test_lists_of_tags_that_lie(hostile: HostileRegistry, pusher: Pusher, body: bytes, error: str) -> None:
    async def listing(request: web.Request) -> web.Response | None:
        return web.Response(body=body) if request.path.endswith("/tags/list") else None

    hostile.before.append(listing)
    with pytest.raises(SeawayError, match=error):
        _ = [line async for line in pusher.pulls.pull(PullOrder(parse_reference(f"{hostile.host}/a")))]


async def test_a_list_of_tags_without_an_end(hostile: HostileRegistry, pusher: Pusher) -> None:
    pages = [0]

    async def listing(request: web.Request) -> web.Response | None:
        if not request.path.endswith("/tags/list"):
            return None
        pages[0] += 1
        tags = [f"t{pages[0]}-{n}" for n in range(1000)]
        link = f'<http://elsewhere.test/v2/a/tags/list?last={tags[-1]}>; rel="next"'
        return web.json_response({"tags": tags}, headers={"Link": link})

    hostile.before.append(listing)
    with pytest.raises(SeawayError, match="more than 10000 tags"):
        _ = [line async for line in pusher.pulls.pull(PullOrder(parse_reference(f"{hostile.host}/a")))]
    assert pages[0] == 11


@pytest.mark.parametrize("part", ["/tags/list", "/manifests/"])
async def test_pulls_of_what_has_no_end(hostile: HostileRegistry, pusher: Pusher, part: str) -> None:
    hostile.before.append(endless(part))
    name = f"{hostile.host}/a" + ("" if "tags" in part else ":1")
    with pytest.raises(SeawayError, match="registry sent more than"):
        _ = [line async for line in pusher.pulls.pull(PullOrder(parse_reference(name)))]
