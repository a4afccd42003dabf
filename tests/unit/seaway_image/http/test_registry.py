"""`/v2/` as clients use it: push and pull, tokens, what is pulled through."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from seaway_image.http.access import Access
from seaway_image.oci.digests import digest_of
from seaway_image.oci.manifests import DOCKER_MANIFEST, OCI_INDEX
from seaway_image.store.image_changes import Cause, ImageChange
from seaway_image.store.image_store import ImageStore

SERVICES = {"Authorization": "Bearer t0k"}
APP = "docker.io/library/app"


@pytest.fixture
def build(access: Access) -> dict[str, str]:
    return basic(access.build(APP, Cause("c1", "uid:7")))


def basic(token: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'any:{token}'.encode()).decode()}"}


async def push_blob(client: Any, name: str, data: bytes, auth: dict[str, str]) -> None:
    started = await client.post(f"/v2/{name}/blobs/uploads/", headers=auth)
    assert started.status == 202, await started.text()
    where = started.headers["Location"]
    middle = len(data) // 2
    patched = await client.patch(where, data=data[:middle], headers=auth)
    assert (patched.status, patched.headers["Range"]) == (202, f"0-{max(0, middle - 1)}")
    params = {"digest": digest_of(data)}
    done = await client.put(patched.headers["Location"], params=params, data=data[middle:], headers=auth)
    assert done.status == 201, await done.text()
    assert done.headers["Location"] == f"/v2/{name}/blobs/{digest_of(data)}"


async def push_image(client: Any, name: str, reference: str, image: Any, auth: dict[str, str]) -> Any:
    for data in (image.config, *image.blobs):
        await push_blob(client, name, data, auth)
    headers = auth | {"Content-Type": DOCKER_MANIFEST}
    return await client.put(f"/v2/{name}/manifests/{reference}", data=image.manifest, headers=headers)


@pytest.mark.parametrize(
    "name", ["app", "library/app", "docker.io/app", "docker.io/library/app", "index.docker.io/app"]
)
async def test_a_push_is_an_image(
    client: Any, store: ImageStore, make_image: Any, heard: list[ImageChange], build: dict[str, str], name: str
) -> None:
    image = make_image(b"x" * 5000)
    done = await push_image(client, name, "1", image, build)
    assert done.status == 201, await done.text()
    assert done.headers["Docker-Content-Digest"] == digest_of(image.manifest)
    record = await store.get("app:1")
    assert (record.id, record.repo_tags, record.repo_digests) == (image.id, ("app:1",), ())
    assert [(one.action, one.image, one.ref, one.cause, one.actor) for one in heard] == [
        ("tag", image.id, "app:1", "c1", "uid:7")
    ]
    for path in ("app/manifests/1", f"docker.io/library/app/manifests/{digest_of(image.manifest)}"):
        got = await client.get(f"/v2/{path}", headers=build)
        assert (await got.read(), got.headers["Content-Type"]) == (image.manifest, DOCKER_MANIFEST)


async def test_a_build_writes_one_repository_until_it_ends(
    client: Any, registry_http: Any, access: Access, make_image: Any
) -> None:
    token = access.build(APP)
    auth = basic(token)
    image = make_image()
    assert (await push_image(client, "app", "1", image, auth)).status == 201
    for path in ("other/blobs/uploads/", "quay.io/app/blobs/uploads/", "app/x/blobs/uploads/"):
        refused = await client.post(f"/v2/{path}", headers=auth)
        assert (refused.status, (await refused.json())["errors"][0]["code"]) == (403, "DENIED")
    for path in ("/load", "/import"):
        assert (await client.post(path, headers={"Authorization": f"Bearer {token}"})).status == 401
    assert (await client.get("/v2/app/manifests/1", headers=auth)).status == 200
    left = (await client.post("/v2/app/blobs/uploads/", headers=auth)).headers["Location"]
    await registry_http.end_build(token)
    assert (await client.get("/v2/app/manifests/1", headers=auth)).status == 401
    assert (await client.get(left, headers=auth)).status == 401
    assert list((registry_http.store.images.blobs.root / "tmp").iterdir()) == []


async def test_names_that_are_not_here_are_pulled(
    client: Any, registry: Any, make_image: Any, build: dict[str, str], access: Access, store: ImageStore
) -> None:
    image = make_image()
    digest = registry.add(image, "1")
    for reference in ("1", digest):
        got = await client.get(f"/v2/{registry.host}/base/manifests/{reference}", headers=build)
        assert (got.status, await got.read()) == (200, image.manifest)
    assert (await store.get(f"{registry.host}/base:1")).id == image.id
    blob = await client.get(f"/v2/{registry.host}/base/blobs/{digest_of(image.blobs[0])}", headers=build)
    assert await blob.read() == image.blobs[0]
    registry.requests.clear()
    node = {"Authorization": f"Bearer {access.reader('n1')}"}
    for auth in (node, build):
        assert (await client.get(f"/v2/{registry.host}/base/manifests/2", headers=auth)).status == 404
    assert len(registry.requests) == 1, "nothing is pulled for a node"


@pytest.mark.parametrize("name", [f"localhost/seaway-image/{'a' * 64}", f"localhost/seaway-build/{'a' * 32}"])
async def test_what_builds_name_here_is_nowhere_else(client: Any, build: dict[str, str], name: str) -> None:
    """Nothing on the port 80 of this machine is asked for it."""
    asked = await client.get(f"/v2/{name}/manifests/latest", headers=build)
    assert (asked.status, "names of builds are this service's own" in await asked.text()) == (404, True)


async def test_an_index_is_kept_whole(
    client: Any, store: ImageStore, make_image: Any, chunked: Callable[..., Any]
) -> None:
    ours, other = make_image(b"a"), make_image(b"b", architecture="arm64")
    children = []
    for image, architecture in ((other, "arm64"), (ours, "amd64")):
        assert (await push_image(client, "app", digest_of(image.manifest), image, SERVICES)).status == 201
        platform = {"os": "linux", "architecture": architecture}
        named = {"mediaType": DOCKER_MANIFEST, "digest": digest_of(image.manifest), "size": len(image.manifest)}
        children.append(named | {"platform": platform})
    assert await store.all() == []
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}).encode()
    headers = SERVICES | {"Content-Type": OCI_INDEX}
    assert (await client.put("/v2/app/manifests/1", data=index, headers=headers)).status == 201
    assert (await store.get("app:1")).id == ours.id
    assert await (await client.get("/v2/app/manifests/1", headers=SERVICES)).read() == index
    for image in (ours, other):
        got = await client.get(f"/v2/app/manifests/{digest_of(image.manifest)}", headers=SERVICES)
        assert await got.read() == image.manifest
