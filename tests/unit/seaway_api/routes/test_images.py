"""Images: list, inspect, tag, remove, pull, load, import, save."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiohttp import web

from seaway_bus.streams import ByteStream
from seaway_contracts import catalogue as cat
from seaway_contracts.base import Empty
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.images import BlobEndpoint, History
from seaway_docker.streams import error_line, status_line, stream_line
from seaway_testing import builders
from seaway_testing.waiting import until


async def test_list_and_inspect(rig: Any) -> None:
    rig.suite.images["busybox"] = image = builders.image(1, repo_digests=("busybox@" + builders.digest(9),))
    line = (await rig.call("GET", "/v1.45/images/json")).json[0]
    assert (line["Id"], line["RepoTags"], line["Size"]) == (image.id, ["box1:latest"], 4567)
    assert "VirtualSize" not in line
    assert (await rig.call("GET", "/v1.40/images/json")).json[0]["VirtualSize"] == 4567
    shown = (await rig.call("GET", "/v1.45/images/busybox/json")).json
    assert shown["Config"]["Cmd"] == ["sh"]
    assert shown["RootFS"]["Layers"] == [image.layers[0].diff_id]
    assert (await rig.call("GET", "/images/nope/json")).json["message"] == "No such image: nope:latest"


@pytest.mark.parametrize(("version", "users"), [("1.24", -1), ("1.50", -1), ("1.51", 1)])
async def test_lines_count_containers_from_1_51_on(rig: Any, version: str, users: int) -> None:
    record = rig.suite.add(builders.record(1))
    rig.suite.images = {"busybox": builders.image(1, id=record.spec.image.id)}
    lines = (await rig.call("GET", f"/v{version}/images/json")).json
    assert [line["Containers"] for line in lines] == [users]


async def test_names_hold_slashes(rig: Any) -> None:
    rig.suite.images["quay.io/a/b:1"] = builders.image(2)
    for path in ("/images/quay.io/a/b:1/json", "/v1.45/images/quay.io%2Fa%2Fb:1/json", "/images/quay.io/a/b:1/history"):
        assert (await rig.call("GET", path)).status == 200


async def test_list_filters(rig: Any) -> None:
    rig.suite.images["two"] = builders.image(2, repo_tags=())
    by_name = (await rig.call("GET", '/images/json?filters={"reference":["box1"]}')).json
    assert [one["RepoTags"] for one in by_name] == [["box1:latest"]]
    dangling = (await rig.call("GET", '/images/json?filters={"dangling":["true"]}')).json
    assert [one["RepoTags"] for one in dangling] == [[]]
    assert (await rig.call("GET", '/images/json?filters={"bogus":["true"]}')).status == 400


async def test_an_image_with_nothing_but_a_digest_is_dangling(rig: Any) -> None:
    digest = "x@" + builders.digest(9)
    rig.suite.images = {"x": builders.image(2, repo_tags=(), repo_digests=(digest,))}
    (line,) = (await rig.call("GET", '/v1.45/images/json?filters={"dangling":["true"]}')).json
    assert (line["RepoTags"], line["RepoDigests"]) == ([], [digest])
    (old,) = (await rig.call("GET", "/v1.42/images/json")).json
    assert (old["RepoTags"], old["RepoDigests"]) == (None, [digest])
    (named,) = (await rig.call("GET", '/v1.45/images/json?filters={"dangling":["false"]}')).json
    assert named["RepoDigests"] == [digest]
    assert (await rig.call("GET", '/images/json?filters={"dangling":["maybe"]}')).status == 400


async def test_old_clients_filter_by_a_parameter_of_its_own(rig: Any) -> None:
    rig.suite.images["two"] = builders.image(2)
    shown = (await rig.call("GET", "/v1.40/images/json?filter=box2")).json
    assert [(one["RepoTags"], one["RepoDigests"]) for one in shown] == [(["box2:latest"], None)]
    assert len((await rig.call("GET", "/v1.45/images/json?filter=box2")).json) == 2


async def test_shared_sizes_are_those_of_common_layers(rig: Any) -> None:
    base, one, two = (
        builders.layer(seed).model_copy(update={"diff_size": size}) for seed, size in ((1, 100), (2, 7), (3, None))
    )
    rig.suite.images = {
        "a": builders.image(1, layers=(base, one)),
        "b": builders.image(2, layers=(base, two)),
        "c": builders.image(3, layers=(one,)),
    }
    shown = (await rig.call("GET", "/v1.45/images/json?shared-size=1")).json
    sizes = {line["Id"]: line["SharedSize"] for line in shown}
    assert [sizes[rig.suite.images[name].id] for name in "abc"] == [100, 100, 0]
    assert (await rig.call("GET", "/v1.45/images/json")).json[0]["SharedSize"] == -1


async def test_prune_counts_the_layers_that_went(rig: Any) -> None:
    rig.suite.images = {"a": builders.image(1, repo_tags=())}
    rig.suite.reclaimed = 4711
    answer = (await rig.call("POST", "/images/prune")).json
    assert answer["SpaceReclaimed"] == 4711
    assert answer["ImagesDeleted"] == [{"Deleted": rig.suite.images["a"].id}]
    assert [(asked.kind, asked.reclaimed) for name, asked in rig.suite.calls if name == "pruned"] == [("image", 4711)]


async def test_inspect_falls_back_to_the_last_steps_comment(rig: Any) -> None:
    rig.suite.images["busybox"] = builders.image(1, history=(History(comment="first"), History(comment="last")))
    assert (await rig.call("GET", "/images/busybox/json")).json["Comment"] == "last"


async def test_history_gives_empty_steps_no_size(rig: Any) -> None:
    steps = (History(created_by="ADD"), History(created_by="CMD", empty_layer=True))
    rig.suite.images["busybox"] = builders.image(1, history=steps)
    shown = (await rig.call("GET", "/images/busybox/history")).json
    assert [(one["CreatedBy"], one["Size"]) for one in shown] == [("CMD", 0), ("ADD", 1234)]
    assert shown[0]["Id"] == builders.image(1).id and shown[1]["Id"] == "<missing>"


async def test_tag(rig: Any) -> None:
    assert (await rig.call("POST", "/images/busybox/tag?repo=localhost:5000/x&tag=v1")).status == 201
    assert rig.suite.named("tag")[0].target == "localhost:5000/x:v1"
    assert (await rig.call("POST", "/images/busybox/tag?repo=UPPER&tag=v1")).status == 400


async def test_remove_tells_what_containers_hold(rig: Any) -> None:
    record = rig.suite.add(builders.record(1))
    answer = await rig.call("DELETE", "/images/busybox?force=1&noprune=1")
    assert answer.json == [{"Untagged": "busybox"}, {"Deleted": "sha256:1"}]
    request = rig.suite.named("rmi")[0]
    assert (request.force, request.prune) == (True, False)
    assert [(use.image_id, use.container_id, use.running) for use in request.in_use] == [
        (record.spec.image.id, record.id, False)
    ]


async def test_an_image_is_in_use_while_a_container_is_made_of_it(rig: Any, failure: Any) -> None:
    """Its layers may still be fetched, and no list shows the container yet."""
    used: list[tuple[str, str, bool]] = []

    async def remove() -> None:
        await rig.call("DELETE", "/images/busybox")
        asked = rig.suite.named("rmi")[-1].in_use
        used.extend((use.image_id, use.container_id, use.running) for use in asked)

    rig.suite.meanwhile["register"] = remove
    rig.suite.fail["create"] = failure(Code.BAD_REQUEST, "no")
    await rig.call("POST", "/containers/create", {"Image": "busybox"})
    identifier = rig.suite.named("create")[0].spec.id
    assert used == [(rig.suite.images["busybox"].id, identifier, False)]
    await rig.call("DELETE", "/images/busybox")
    assert rig.suite.named("rmi")[-1].in_use == ()


async def test_pull_relays_lines_as_they_come(rig: Any) -> None:
    async def pull(stream: ByteStream) -> None:
        await stream.write(status_line("Pulling from library/busybox", id="latest"))
        await stream.write(status_line("Status: Downloaded newer image for busybox:latest"))
        await stream.end()

    rig.suite.pull = pull
    auth = base64.urlsafe_b64encode(orjson.dumps({"username": "u", "password": "p"})).decode().rstrip("=")
    answer = await rig.call("POST", "/v1.45/images/create?fromImage=busybox&tag=latest", X_Registry_Auth=auth)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert orjson.loads(answer.body.splitlines()[0])["status"] == "Pulling from library/busybox"
    request = rig.suite.named("pull")[0]
    assert (request.ref, request.auth.username) == ("busybox:latest", "u")


async def test_a_pull_that_fails_before_its_first_line_has_a_status(rig: Any) -> None:
    async def pull(stream: ByteStream) -> None:
        await stream.fail(SeawayError(Code.NOT_FOUND, "manifest for x not found"))

    rig.suite.pull = pull
    answer = await rig.call("POST", "/images/create?fromImage=x&tag=latest")
    assert (answer.status, answer.json) == (404, {"message": "manifest for x not found"})


async def test_a_pull_that_fails_later_says_so_in_a_line(rig: Any) -> None:
    async def pull(stream: ByteStream) -> None:
        await stream.write(status_line("Pulling"))
        await stream.fail(SeawayError(Code.INTERNAL, "layer broken"))

    rig.suite.pull = pull
    answer = await rig.call("POST", "/images/create?fromImage=x&tag=latest")
    assert answer.status == 200
    assert answer.body.endswith(error_line("layer broken"))


async def test_a_client_that_gives_up_a_pull_is_noticed(rig: Any) -> None:
    gone: list[SeawayError] = []

    async def pull(stream: ByteStream) -> None:
        await stream.write(status_line("Pulling"))
        try:
            await stream.read()
        except SeawayError as error:
            gone.append(error)

    rig.suite.pull = pull
    wire = await rig.wire()
    wire.send(b"POST /images/create?fromImage=x&tag=1 HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
    await wire.head()
    wire.writer.transport.abort()
    await until(lambda: gone)


@pytest.mark.parametrize("query", ["fromImage=UPPER&tag=x", "fromImage=x&tag=:bad:", "", "fromSrc=http://x/y"])
async def test_pull_refusals(rig: Any, query: str) -> None:
    assert (await rig.call("POST", f"/images/create?{query}")).status == 400


@pytest.mark.parametrize("auth", ["!!!", base64.urlsafe_b64encode(b"[1]").decode()])
async def test_unreadable_credentials(rig: Any, auth: str) -> None:
    answer = await rig.call("POST", "/images/create?fromImage=x&tag=1", X_Registry_Auth=auth)
    assert answer.status == 400


@asynccontextmanager
async def image_http(rig: Any, port: int = 0) -> AsyncIterator[list[Any]]:
    """The image service's HTTP side: notes what it gets."""
    got: list[Any] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        got.append((request.path, dict(request.query), body, request.headers.get("Authorization")))
        if request.path == "/save":
            return web.Response(body=b"tar of " + ",".join(request.query.getall("names", [])).encode())
        if body == b"bad":
            return web.json_response({"message": "not a tar"}, status=400)
        if request.path == "/import":
            return web.json_response({"id": "sha256:1"})
        return web.Response(body=stream_line("Loaded image: a:1\n"))

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def locate(_: Empty, __: Any) -> BlobEndpoint:
        return BlobEndpoint(url=url, token="secret")

    await rig.suite.bus.serve(cat.BLOB_ENDPOINT, locate)
    try:
        yield got
    finally:
        await runner.cleanup()


async def test_load_passes_the_archive_on(rig: Any) -> None:
    async with image_http(rig) as got:
        archive = b"t" * 300_000
        answer = await rig.call("POST", "/images/load?quiet=1", archive, Content_Type="application/x-tar")
        assert orjson.loads(answer.body) == {"stream": "Loaded image: a:1\n"}
        assert got == [("/load", {"quiet": "1"}, archive, "Bearer secret")]
        bad = await rig.call("POST", "/images/load", b"bad", Content_Type="application/x-tar")
        assert (bad.status, bad.body) == (200, error_line("not a tar"))
        assert got[1][1] == {"quiet": "1"}
        await rig.call("POST", "/images/load?quiet=0", archive, Content_Type="application/x-tar")
        assert got[2][1] == {"quiet": "0"}


async def test_import_and_save(rig: Any) -> None:
    async with image_http(rig) as got:
        query = "fromSrc=-&repo=me/x&tag=1&changes=CMD%20sh"
        answer = await rig.call("POST", f"/images/create?{query}", b"tar", Content_Type="application/x-tar")
        assert orjson.loads(answer.body) == {"status": "sha256:1"}
        assert got[0][1] == {"repo": "me/x", "tag": "1", "change": "CMD sh"}
        both = await rig.call("GET", "/images/get?names=a:1&names=b")
        assert (both.headers["content-type"], both.body) == ("application/x-tar", b"tar of a:1,b")
        assert (await rig.call("GET", "/images/quay.io/a/b:1/get")).body == b"tar of quay.io/a/b:1"
        assert (await rig.call("GET", "/images/get")).body == b"tar of ", "nothing was asked for: an archive of nothing"
        refused = await rig.call("POST", "/images/create?fromSrc=-&repo=x@" + builders.digest(1), b"tar")
        assert refused.json["message"] == "cannot import digest reference"


async def test_without_the_image_service_archives_fail_clearly(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rig.api.bus, "_patience_s", 0.01)
    answer = await rig.call("POST", "/images/load", b"x", Content_Type="application/x-tar")
    assert answer.status == 503
    assert "image service" in answer.json["message"]
