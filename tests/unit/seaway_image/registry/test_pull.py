"""Pulls against a registry on the loopback that misbehaves on order."""

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from seaway_contracts.errors import Code, SeawayError
from seaway_docker.references import parse_reference
from seaway_image.oci.digests import digest_of, short
from seaway_image.oci.platforms import Platform, parse_platform
from seaway_image.registry import session as registry_module
from seaway_image.registry.credentials import Credentials
from seaway_image.registry.endpoints import RegistrySettings
from seaway_image.registry.pull import PullOrder, Pulls
from seaway_image.registry.transport import HttpTransport, Timeouts
from seaway_image.store.image_store import ImageStore
from seaway_kit.tasks import Tasks

Make = Callable[..., Any]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "_BACKOFF_S", 0.001)


@pytest.fixture
async def pulls(store: ImageStore) -> AsyncIterator[Pulls]:
    transport, tasks = HttpTransport(timeouts=Timeouts(silence=5)), Tasks("test")
    await transport.open()
    yield Pulls(store, transport, RegistrySettings(), tasks)
    await tasks.close()
    await transport.close()


async def pull(
    pulls: Pulls, name: str, *, platform: Platform | None = None, credentials: Credentials | None = None
) -> list[str]:
    order = PullOrder(parse_reference(name), platform, credentials or Credentials())
    lines = [json.loads(progress.line()) async for progress in pulls.pull(order)]
    return [f"{line.get('id', '')}: {line['status']}" for line in lines if line["status"] != "Downloading"]


def refuse(part: str, status: int, times: int, **headers: str) -> Callable[[web.Request], Any]:
    left = [times]

    async def handler(request: web.Request) -> web.Response | None:
        if part in request.path and left[0] > 0:
            left[0] -= 1
            return web.Response(status=status, headers=headers)
        return None

    return handler


async def test_a_pull_tells_what_docker_tells(registry: Any, pulls: Pulls, store: ImageStore, make_image: Make) -> None:
    image = make_image(b"one", b"two")
    digest = registry.add(image, "1")
    name = f"{registry.host}/a/b:1"
    lines = await pull(pulls, name)
    ids = [short(digest_of(blob)) for blob in image.blobs]
    assert lines[:3] == ["1: Pulling from a/b", *(f"{layer}: Pulling fs layer" for layer in ids)]
    assert [line for line in lines if "Pull complete" in line] == [f"{layer}: Pull complete" for layer in ids]
    for layer in ids:
        steps = [line.partition(": ")[2] for line in lines if line.startswith(layer)]
        assert steps == ["Pulling fs layer", "Verifying Checksum", "Download complete", "Pull complete"]
    assert lines[-2:] == [f": Digest: {digest}", f": Status: Downloaded newer image for {name}"]
    record = await store.get(name)
    assert record.id == image.id
    assert record.repo_digests == (f"{registry.host}/a/b@{digest}",)
    assert record.size == len(b"one" + b"two")
    again = await pull(pulls, name)
    assert again == ["1: Pulling from a/b", f": Digest: {digest}", f": Status: Image is up to date for {name}"]


async def test_the_store_survives_a_restart(registry: Any, pulls: Pulls, store: ImageStore, make_image: Make) -> None:
    registry.add(make_image(), "1")
    await pull(pulls, f"{registry.host}/a:1")
    fresh = ImageStore(store.blobs.root)
    fresh.open()
    assert await fresh.all() == await store.all()


async def test_the_platform_is_chosen_from_a_list(
    registry: Any, pulls: Pulls, store: ImageStore, make_image: Make
) -> None:
    amd, arm = make_image(b"amd"), make_image(b"arm", architecture="arm64")
    entries = [(arm, {"os": "linux", "architecture": "arm64"}), (amd, {"os": "linux", "architecture": "amd64"})]
    digest = registry.add_list("1", entries)
    name = f"{registry.host}/a:1"
    lines = await pull(pulls, name)
    assert f": Digest: {digest}" in lines
    assert (await store.get(name)).id == amd.id
    await pull(pulls, name, platform=parse_platform("linux/arm64"))
    assert (await store.get(name)).id == arm.id
    with pytest.raises(SeawayError, match="no matching manifest for linux/s390x in the manifest list entries"):
        await pull(pulls, name, platform=parse_platform("linux/s390x"))


async def test_a_single_manifest_for_another_platform(registry: Any, pulls: Pulls, make_image: Make) -> None:
    registry.add(make_image(), "1")
    with pytest.raises(SeawayError, match="does not match the specified platform: wanted linux/arm64, actual: linux"):
        await pull(pulls, f"{registry.host}/a:1", platform=parse_platform("linux/arm64"))


async def test_an_image_of_another_system_is_refused_and_leaves_nothing(
    registry: Any, pulls: Pulls, store: ImageStore, make_image: Make, files_in: Callable[[Path], set[str]]
) -> None:
    registry.add(make_image(os="windows"), "1")
    name = f"{registry.host}/a:1"
    unusable = 'image operating system "windows" cannot be used on this platform: operating system is not supported'
    with pytest.raises(SeawayError, match=f"^{unusable}$"):
        await pull(pulls, name)
    with pytest.raises(SeawayError, match=r"^operating system is not supported$"):
        await pull(pulls, name, platform=parse_platform("windows/amd64"))
    assert files_in(store.blobs.root) == set()
    assert await store.all() == []


async def test_a_pull_by_digest_makes_no_tag(registry: Any, pulls: Pulls, store: ImageStore, make_image: Make) -> None:
    digest = registry.add(make_image(), "1")
    lines = await pull(pulls, f"{registry.host}/a@{digest}")
    assert lines[-1] == f": Status: Downloaded newer image for {registry.host}/a@{digest}"
    record = await store.get(f"{registry.host}/a@{digest}")
    assert record.repo_tags == ()


async def test_what_is_not_there(registry: Any, pulls: Pulls) -> None:
    with pytest.raises(SeawayError) as refused:
        await pull(pulls, f"{registry.host}/a:1")
    assert refused.value.message == f"manifest for {registry.host}/a:1 not found: manifest unknown: manifest unknown"
    with pytest.raises(SeawayError, match="connect: connection refused") as silent:
        await pull(pulls, "127.0.0.1:1/a:1")
    assert silent.value.message == 'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused'


async def test_failures_that_pass_are_tried_again(registry: Any, pulls: Pulls, make_image: Make) -> None:
    registry.add(make_image(), "1")
    registry.before += [refuse("/manifests/1", 503, 2), refuse("/blobs/", 429, 2, **{"Retry-After": "0"})]
    assert (await pull(pulls, f"{registry.host}/a:1"))[-1].startswith(": Status: Downloaded")
    assert len(registry.asked("/manifests/1")) == 3


async def test_a_lasting_failure_ends(registry: Any, pulls: Pulls, make_image: Make) -> None:
    registry.add(make_image(), "1")
    registry.before.append(refuse("/manifests/", 500, 1000))
    with pytest.raises(SeawayError, match="received unexpected HTTP status: 500"):
        await pull(pulls, f"{registry.host}/a:1")
    assert len(registry.asked("/manifests/")) == registry_module.ATTEMPTS


def cut_after(part: str, size: int, data: bytes) -> Callable[[web.Request], Any]:
    """Answers the first request for `part` with its first bytes, and hangs up."""
    done: list[bool] = []

    async def handler(request: web.Request) -> web.StreamResponse | None:
        if part not in request.path or done:
            return None
        done.append(True)
        response = web.StreamResponse(headers={"Content-Length": str(len(data))})
        await response.prepare(request)
        await response.write(data[:size])
        assert request.transport is not None
        request.transport.close()
        return response

    return handler


async def test_a_broken_download_goes_on_where_it_stopped(registry: Any, pulls: Pulls, make_image: Make) -> None:
    image = make_image(os.urandom(200_000))
    registry.add(image, "1")
    blob = digest_of(image.blobs[0])
    registry.before.append(cut_after(blob, 100_000, image.blobs[0]))
    await pull(pulls, f"{registry.host}/a:1")
    ranges = [request.headers.get("Range") for request in registry.asked(blob)]
    assert ranges[0] is None
    assert ranges[1] is not None
    assert 0 < int(ranges[1][6:-1]) <= 100_000


async def test_a_registry_without_ranges_starts_anew(registry: Any, pulls: Pulls, make_image: Make) -> None:
    image = make_image(os.urandom(200_000))
    registry.add(image, "1")
    blob = digest_of(image.blobs[0])

    async def whole(request: web.Request) -> web.Response | None:
        return web.Response(body=image.blobs[0]) if blob in request.path else None

    registry.before += [cut_after(blob, 100_000, image.blobs[0]), whole]
    assert (await pull(pulls, f"{registry.host}/a:1"))[-1].startswith(": Status: Downloaded")


async def test_a_damaged_partial_is_fetched_anew(
    registry: Any, pulls: Pulls, store: ImageStore, make_image: Make
) -> None:
    image = make_image(b"x" * 5000)
    registry.add(image, "1")
    partial = store.blobs.root / "tmp" / f"{digest_of(image.blobs[0])[7:]}.partial"
    partial.write_bytes(b"rubbish")
    await pull(pulls, f"{registry.host}/a:1")
    assert not partial.exists()


async def test_wrong_bytes_are_refused(
    registry: Any, pulls: Pulls, store: ImageStore, make_image: Make, files_in: Callable[[Path], set[str]]
) -> None:
    image = make_image()
    registry.add(image, "1")
    blob = digest_of(image.blobs[0])
    registry.blobs[blob] = bytes(len(image.blobs[0]))
    with pytest.raises(SeawayError, match=f"filesystem layer verification failed for digest {blob}"):
        await pull(pulls, f"{registry.host}/a:1")
    assert not any("partial" in name for name in files_in(store.blobs.root))
    assert await store.all() == []


async def test_a_wrong_diff_id_is_refused_and_leaves_nothing(
    registry: Any, pulls: Pulls, store: ImageStore, make_image: Make, files_in: Callable[[Path], set[str]]
) -> None:
    registry.add(make_image(rootfs={"type": "layers", "diff_ids": ["sha256:" + "1" * 64]}), "1")
    with pytest.raises(SeawayError, match="unpacks to"):
        await pull(pulls, f"{registry.host}/a:1")
    assert files_in(store.blobs.root) == set()


async def test_a_wrong_manifest_digest_is_refused(registry: Any, pulls: Pulls, make_image: Make) -> None:
    image = make_image()
    digest = registry.add(image, "1")
    registry.manifests[digest] = (image.manifest + b" ", registry.manifests["1"][1])
    with pytest.raises(SeawayError, match=f"manifest verification failed for digest {digest}"):
        await pull(pulls, f"{registry.host}/a@{digest}")


async def test_a_huge_manifest_is_cut_short(registry: Any, pulls: Pulls) -> None:
    registry.manifests["1"] = (b" " * (5 << 20), "application/json")
    with pytest.raises(SeawayError) as refused:
        await pull(pulls, f"{registry.host}/a:1")
    assert refused.value.code is Code.TOO_LARGE


def guarded(registry: Any, token: str, realm: str = "/token") -> Callable[[web.Request], Any]:
    """Bearer tokens for all, given to user:secret."""

    async def handler(request: web.Request) -> web.Response | None:
        if request.path == "/token":
            expected = "Basic " + base64.b64encode(b"user:secret").decode()
            if request.method == "POST":
                form = await request.post()
                good = form["grant_type"] == "refresh_token" and form["refresh_token"] == "identity"
            else:
                good = request.headers.get("Authorization") == expected
            return web.json_response({"token": token}) if good else web.Response(status=401)
        if request.headers.get("Authorization") == f"Bearer {token}":
            return None
        challenge = f'Bearer realm="http://{registry.host}{realm}",service="s",scope="repository:a:pull"'
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})

    return handler


@pytest.mark.parametrize(
    "credentials",
    [Credentials("user", "secret"), Credentials(identity_token="identity"), Credentials(registry_token="t0k")],
)
async def test_tokens_are_fetched_once(registry: Any, pulls: Pulls, make_image: Make, credentials: Credentials) -> None:
    registry.add(make_image(b"1", b"2", b"3"), "1")
    registry.before.append(guarded(registry, "t0k"))
    await pull(pulls, f"{registry.host}/a:1", credentials=credentials)
    assert len(registry.asked("/token")) == (0 if credentials.registry_token else 1)


async def test_wrong_credentials(registry: Any, pulls: Pulls, make_image: Make) -> None:
    registry.add(make_image(), "1")
    registry.before.append(guarded(registry, "t0k"))
    with pytest.raises(SeawayError, match="unauthorized: authentication required") as refused:
        await pull(pulls, f"{registry.host}/a:1", credentials=Credentials("user", "wrong"))
    assert refused.value.status == 500  # as Docker: at 401 its command asks for a password


async def test_basic_credentials(registry: Any, pulls: Pulls, make_image: Make) -> None:
    registry.add(make_image(), "1")

    async def basic(request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") == Credentials("user", "secret").basic:
            return None
        return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="r"'})

    registry.before.append(basic)
    with pytest.raises(SeawayError, match="no basic auth credentials"):
        await pull(pulls, f"{registry.host}/a:1")
    await pull(pulls, f"{registry.host}/a:1", credentials=Credentials("user", "secret"))


async def test_authorization_stays_with_its_host(registry: Any, pulls: Pulls, make_image: Make) -> None:
    image = make_image()
    registry.add(image, "1")
    blob = digest_of(image.blobs[0])

    async def elsewhere(request: web.Request) -> web.Response | None:
        if request.path == "/cdn/blobs/" + blob:
            return web.Response(body=image.blobs[0])
        if blob in request.path:
            target = f"http://localhost:{registry.server.port}/cdn/blobs/{blob}"
            return web.Response(status=307, headers={"Location": target})
        return None

    registry.before += [elsewhere, guarded(registry, "t0k")]
    await pull(pulls, f"{registry.host}/a:1", credentials=Credentials("user", "secret"))
    assert [request.headers.get("Authorization") for request in registry.asked("/cdn/")] == [None]


@pytest.mark.parametrize("target", ["file:///etc/passwd", "http://169.254.169.254/latest", "http://u:p@127.0.0.1/"])
async def test_bad_redirects_are_not_followed(registry: Any, pulls: Pulls, make_image: Make, target: str) -> None:
    registry.add(make_image(), "1")
    registry.before.append(refuse("/blobs/", 302, 1000, Location=target))
    with pytest.raises(SeawayError, match=r"redirect to .* is refused"):
        await pull(pulls, f"{registry.host}/a:1")


async def test_endless_redirects_end(registry: Any, pulls: Pulls) -> None:
    registry.before.append(refuse("/manifests/", 302, 1000, Location="/v2/a/manifests/again"))
    with pytest.raises(SeawayError, match="stopped after 5 redirects"):
        await pull(pulls, f"{registry.host}/a:1")


async def test_a_realm_on_a_link_local_address_is_refused(registry: Any, pulls: Pulls) -> None:
    challenge = 'Bearer realm="http://169.254.169.254/token"'
    registry.before.append(refuse("/v2/", 401, 1000, **{"WWW-Authenticate": challenge}))
    with pytest.raises(SeawayError, match=r"token realm to .* is refused"):
        await pull(pulls, f"{registry.host}/a:1", credentials=Credentials("user", "secret"))


async def test_equal_pulls_share_one_download(registry: Any, pulls: Pulls, make_image: Make) -> None:
    registry.add(make_image(b"1", b"2"), "1")
    name = f"{registry.host}/a:1"
    first, second = await asyncio.gather(pull(pulls, name), pull(pulls, name))
    assert first[-1] == second[-1] == f": Status: Downloaded newer image for {name}"
    assert len(registry.asked("/manifests/")) == 1
    assert len(registry.asked("/blobs/")) == 3


def held(part: str, reached: asyncio.Event, go_on: asyncio.Event, data: bytes) -> Callable[[web.Request], Any]:
    """Answers with half of `data`, and with the rest once told to."""

    async def handler(request: web.Request) -> web.StreamResponse | None:
        if part not in request.path or "Range" in request.headers:
            return None
        response = web.StreamResponse(headers={"Content-Length": str(len(data))})
        await response.prepare(request)
        await response.write(data[: len(data) // 2])
        reached.set()
        await go_on.wait()
        await response.write(data[len(data) // 2 :])
        return response

    return handler


async def test_a_cancelled_pull_leaves_only_what_can_be_resumed(
    registry: Any, pulls: Pulls, store: ImageStore, make_image: Make, files_in: Callable[[Path], set[str]]
) -> None:
    image = make_image(os.urandom(300_000))
    registry.add(image, "1")
    name, blob = f"{registry.host}/a:1", digest_of(image.blobs[0])
    reached, go_on = asyncio.Event(), asyncio.Event()
    registry.before.append(held(blob, reached, go_on, image.blobs[0]))
    task = asyncio.create_task(pull(pulls, name))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    assert f"blobs/sha256/{blob[7:]}" not in files_in(store.blobs.root)
    assert await store.all() == []
    assert (await pull(pulls, name))[-1].startswith(": Status: Downloaded")
    assert not any("tmp/" in left for left in files_in(store.blobs.root))


async def test_a_client_that_leaves_does_not_stop_the_others(registry: Any, pulls: Pulls, make_image: Make) -> None:
    image = make_image(os.urandom(300_000))
    registry.add(image, "1")
    name = f"{registry.host}/a:1"
    reached, go_on = asyncio.Event(), asyncio.Event()
    registry.before.append(held(digest_of(image.blobs[0]), reached, go_on, image.blobs[0]))
    leaves, stays = asyncio.create_task(pull(pulls, name)), asyncio.create_task(pull(pulls, name))
    await reached.wait()
    leaves.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaves
    go_on.set()
    assert (await stays)[-1].startswith(": Status: Downloaded")
    assert len(registry.asked(digest_of(image.blobs[0]))) == 1


async def test_a_full_disk_fails_the_pull_and_leaves_nothing(
    registry: Any,
    pulls: Pulls,
    store: ImageStore,
    make_image: Make,
    files_in: Callable[[Path], set[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry.add(make_image(b"1", b"2"), "1")
    full = SeawayError(Code.NO_SPACE, "no space left on device")

    async def failing(*_: object) -> None:
        raise full

    monkeypatch.setattr("seaway_image.store.ingest.BlobWriter._drain", failing)
    with pytest.raises(SeawayError, match="no space left"):
        await pull(pulls, f"{registry.host}/a:1")
    assert files_in(store.blobs.root) == set()
