import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seaway_bus.bus import ACTOR, COMMAND
from seaway_contracts.archives import ImageOrder
from seaway_contracts.images import ImageConfig
from seaway_image.archives.commit import EMPTY_LAYER
from seaway_image.http.access import Access
from seaway_image.oci.digests import digest_of
from seaway_image.store.image_changes import ImageChange
from seaway_image.store.image_store import ImageStore

AUTH = {"Authorization": "Bearer t0k"}
ASKED = {COMMAND: "c7", ACTOR: "uid:7"}


def told(heard: list[ImageChange]) -> list[tuple[str, ...]]:
    return [(one.action, one.image, one.ref, one.cause, one.actor) for one in heard]


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic t0k", "Bearer t0k x", "Bearer ü"])
@pytest.mark.parametrize("path", ["/v2/", "/save?names=x", "/v2/x/blobs/sha256:" + "a" * 64, "/nothing"])
async def test_nothing_without_the_token(client: Any, header: str | None, path: str) -> None:
    response = await client.get(path, headers={"Authorization": header} if header else {})
    assert response.status == 401
    scheme = "Basic" if path.startswith("/v2/") else "Bearer"
    assert response.headers["WWW-Authenticate"] == f'{scheme} realm="seaway"'


def test_no_token_no_service() -> None:
    with pytest.raises(ValueError, match="needs a token"):
        Access("")


async def test_load_pull_by_parts_and_save(client: Any, make_image: Any, heard: list[Any]) -> None:
    image = make_image(b"x" * 5000)
    response = await client.post("/load", data=image.archive("a/b:1"), headers=AUTH | ASKED)
    assert await response.json() == {"stream": "Loaded image: a/b:1\n"}
    assert told(heard) == [("load", image.id, "a/b:1", "c7", "uid:7")]
    manifest = await client.get("/v2/a/b/manifests/1", headers=AUTH)
    parsed = await manifest.json(content_type=None)
    assert manifest.headers["Content-Type"] == parsed["mediaType"]
    by_digest = await client.get(f"/v2/a/b/manifests/{manifest.headers['Docker-Content-Digest']}", headers=AUTH)
    assert await by_digest.read() == await manifest.read()
    layer = parsed["layers"][0]["digest"]
    assert await (await client.get(f"/v2/a/b/blobs/{layer}", headers=AUTH)).read() == image.layers[0]
    part = await client.get(f"/v2/a/b/blobs/{layer}", headers=AUTH | {"Range": "bytes=600-700"})
    assert (part.status, await part.read()) == (206, image.layers[0][600:701])
    head = await client.head(f"/v2/a/b/blobs/{layer}", headers=AUTH)
    assert (head.status, head.headers["Content-Length"]) == (200, str(len(image.layers[0])))
    heard.clear()
    saved = await client.get("/save", params={"names": "a/b:1"}, headers=AUTH | ASKED)
    assert told(heard) == [("save", image.id, "", "c7", "uid:7")]
    with tarfile.open(fileobj=io.BytesIO(await saved.read())) as tar:
        manifest_file = tar.extractfile("manifest.json")
        assert manifest_file is not None
        assert json.loads(manifest_file.read())[0]["RepoTags"] == ["a/b:1"]


async def test_import(client: Any, store: ImageStore, make_tar: Any, heard: list[Any]) -> None:
    query = [("repo", "made"), ("tag", "2"), ("change", "CMD x"), ("change", "ENV A=1"), ("platform", "linux/arm64")]
    response = await client.post("/import", params=query, data=make_tar({"f": b"x"}), headers=AUTH | ASKED)
    image = (await response.json())["id"]
    record = await store.get("made:2")
    assert (record.id, record.architecture, record.config.env) == (image, "arm64", ("A=1",))
    assert told(heard) == [("tag", image, "made:2", "c7", "uid:7"), ("import", image, "", "c7", "uid:7")]
    assert [one.name for one in heard] == ["made:2", image]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/x/blobs/sha256:" + "a" * 64, 404),
        ("GET", "/v2/x/blobs/sha256:..%2f..%2fnames.json", 400),
        ("GET", "/v2/x/blobs/..%2f..%2f..%2fnames.json", 400),
        ("GET", "/v2/x/manifests/sha256:" + "a" * 64, 404),
        ("GET", "/v2/x/manifests/nope", 404),
        ("GET", "/save?names=" + "&names=".join(["a"] * 300), 400),
        ("GET", "/save?names=nope", 404),
        ("POST", "/load", 400),
        ("POST", "/import?change=RUN", 400),
        ("POST", "/import?platform=a/b/c/d", 400),
        ("POST", "/import?repo=UPPER", 400),
    ],
)
async def test_refusals_say_why(
    client: Any, store: ImageStore, files_in: Callable[[Path], set[str]], method: str, path: str, status: int
) -> None:
    response = await client.request(method, path, headers=AUTH)
    assert response.status == status
    body = await response.json()
    assert body["message"]
    assert body["errors"][0]["message"] == body["message"]
    assert files_in(store.blobs.root) == set()


async def test_only_digests_of_manifests_are_served_as_such(client: Any, store: ImageStore, make_image: Any) -> None:
    image = make_image()
    await client.post("/load", data=image.archive("a:1"), headers=AUTH)
    response = await client.get(f"/v2/a/manifests/{digest_of(image.config)}", headers=AUTH)
    assert response.status == 404


async def commit(client: Any, access: Access, order: ImageOrder, tar: bytes) -> Any:
    headers = {"Authorization": f"Bearer {access.upload('n1', order)}"}
    return await client.post("/commit", data=tar, headers=headers)


@pytest.fixture
async def base(client: Any, make_image: Any, store: ImageStore) -> str:
    await client.post("/load", data=make_image(b"below").archive("base:1"), headers=AUTH)
    return (await store.get("base:1")).id


def layer() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        info = tarfile.TarInfo("new")
        info.size = 3
        made.addfile(info, io.BytesIO(b"new"))
    return buffer.getvalue()


async def test_commit(client: Any, access: Access, store: ImageStore, base: str, heard: list[Any]) -> None:
    order = ImageOrder(
        image=base,
        config=ImageConfig(cmd=("x",)),
        changes=("ENV A=1",),
        target="made:1",
        author="me",
        comment="why",
        created_by="sh",
        cause="c1",
    )
    answer = await (await commit(client, access, order, layer())).json()
    found = await store.get("made:1")
    assert answer == {"id": found.id, "ref": "made:1"}
    assert told(heard)[-1] == ("tag", found.id, "made:1", "c1", "")
    assert [known.digest for known in found.layers][:-1] == [one.digest for one in (await store.get(base)).layers]
    assert found.layers[-1].diff_id == digest_of(layer())
    assert (found.config.cmd, found.config.env, found.author, found.comment) == (("x",), ("A=1",), "me", "why")
    assert found.history[-1].created_by == "sh" and not found.history[-1].empty_layer


async def test_commit_of_nothing_adds_no_layer(client: Any, access: Access, store: ImageStore, base: str) -> None:
    answer = await commit(client, access, ImageOrder(image=base), bytes(1024))
    found = await store.get((await answer.json())["id"])
    assert len(found.layers) == len((await store.get(base)).layers) and found.history[-1].empty_layer
    assert store.blobs.size(EMPTY_LAYER) is None


@pytest.mark.parametrize(
    ("order", "tar", "status", "text"),
    [
        (ImageOrder(image="sha256:" + "0" * 64), None, 404, "the container's image is gone"),
        (ImageOrder(image="base", changes=("RUN x",)), None, 400, "RUN is not a valid change command"),
        (ImageOrder(image="base", target="UPPER"), None, 400, "lowercase"),
        (ImageOrder(image="base"), b"no tar" * 1000, 400, "no tar"),
    ],
)
async def test_commits_that_fail_leave_nothing(
    client: Any,
    access: Access,
    store: ImageStore,
    base: str,
    order: ImageOrder,
    tar: bytes | None,
    status: int,
    text: str,
) -> None:
    order = order.model_copy(update={"image": base}) if order.image == "base" else order
    before = set(store.blobs.digests())
    answer = await commit(client, access, order, tar or layer())
    assert answer.status == status and text in (await answer.json())["message"]
    assert set(store.blobs.digests()) == before


async def test_an_upload_that_comes_again_makes_no_second_image(
    client: Any, access: Access, store: ImageStore, base: str, heard: list[Any]
) -> None:
    """Its answer was lost; and nothing else can be made by the same leave."""
    headers = {"Authorization": f"Bearer {access.upload('n1', ImageOrder(image=base, target='made:1'))}"}
    first = await (await client.post("/commit", data=layer(), headers=headers)).json()
    count = len(heard)
    for tar in (layer(), bytes(1024)):
        assert await (await client.post("/commit", data=tar, headers=headers)).json() == first
    assert len(heard) == count and (await store.get("made:1")).id == first["id"]


async def test_a_node_reads_blobs_and_nothing_else(client: Any, access: Access, base: str) -> None:
    headers = {"Authorization": f"Bearer {access.reader('n1')}"}
    assert (await client.get("/v2/", headers=headers)).status == 200
    assert (await client.get("/v2/base/manifests/1", headers=headers)).status == 200
    for method, path in (("POST", "/load"), ("GET", "/save?names=base:1"), ("POST", "/import?repo=base&tag=1")):
        assert (await client.request(method, path, data=layer(), headers=headers)).status == 401
    assert (await client.post("/commit", data=layer(), headers=headers)).status == 401
    assert (await client.post("/commit", data=layer(), headers=AUTH)).status == 401, (
        "not even a service, without a grant"
    )
    granted = {"Authorization": f"Bearer {access.upload('n1', ImageOrder(image=base))}"}
    assert (await client.get("/v2/", headers=granted)).status == 401
