"""Volumes: create, list, inspect, remove, prune, and their part of system df."""

import json
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from seaway_api.routes import volumes
from seaway_contracts.catalogue import VOLUME_CREATE, VOLUME_DESTROY
from seaway_contracts.containers import ContainerRecord, Mount
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.lifecycle import Envelope, volume_subject
from seaway_contracts.nodes import NodeFacts, NodeList, NodeRecord
from seaway_contracts.records import GONE
from seaway_contracts.volumes import VolumeEvent, VolumeRecord
from seaway_testing import builders

ANONYMOUS = "a" * 64
BOX = builders.container_id(1)
LABEL = "com.docker.volume.anonymous"


def filtered(**terms: Any) -> str:
    return "filters=" + quote(json.dumps(terms))


def volume(name: str = "data", **changes: Any) -> VolumeRecord:
    known = {"id": f"id of {name}", "name": name, "created_ns": builders.START_NS, "node": "n1"}
    return VolumeRecord(**known | changes)


def anonymous(name: str = ANONYMOUS) -> VolumeRecord:
    return volume(name, id=name, anonymous=True, labels={LABEL: ""})


def box(*volumes: str, seed: int = 1) -> ContainerRecord:
    """A container that has these volumes."""
    mounts = tuple(Mount(type="volume", source=name, target=f"/{place}") for place, name in enumerate(volumes))
    return ContainerRecord(spec=builders.spec(seed, mounts=mounts), node="n1")


def node(name: str) -> NodeRecord:
    made = builders.node_record(name)
    beat = made.beat.model_copy(update={"facts": NodeFacts(volumes=f"/{name}/volumes")})
    return made.model_copy(update={"beat": beat})


@pytest.fixture(autouse=True)
def nodes(rig: Any) -> None:
    rig.suite.nodes = NodeList(nodes=(node("n1"), node("n2")))


# --- create


async def test_create(rig: Any) -> None:
    body = {"Name": "data", "Driver": "local", "Labels": {"a": "b"}, "DriverOpts": {"type": "tmpfs", "device": "x"}}
    answer = await rig.call("POST", "/volumes/create", body)
    shown = {
        "CreatedAt": answer.json["CreatedAt"],
        "Driver": "local",
        "Labels": {"a": "b"},
        "Mountpoint": "/n1/volumes/data/_data",
        "Name": "data",
        "Options": {"type": "tmpfs", "device": "x"},
        "Scope": "local",
    }
    assert (answer.status, answer.json) == (201, shown)
    (asked,) = rig.suite.named("volume.create")
    assert len(asked.volume.id) == 64 and asked.volume.id != asked.volume.name and not asked.volume.node
    assert rig.api.hub.volumes.basis() == {asked.volume.id: 1}
    assert (await rig.call("GET", "/volumes/data")).json == shown


@pytest.mark.parametrize("body", [None, {}, {"Name": "", "Driver": "", "Labels": None}])
async def test_create_without_a_name(rig: Any, body: Any) -> None:
    answer = await rig.call("POST", "/volumes/create", body)
    assert (answer.status, len(answer.json["Name"]), answer.json["Labels"]) == (201, 64, {LABEL: ""})


async def test_create_on_a_node(rig: Any) -> None:
    body = {"Name": "data", "DriverOpts": {"node": "n2"}}
    answer = await rig.call("POST", "/volumes/create", body)
    assert (answer.json["Mountpoint"], answer.json["Options"]) == ("/n2/volumes/data/_data", None)
    body["DriverOpts"]["node"] = "n3"
    answer = await rig.call("POST", "/volumes/create", body)
    assert (answer.status, answer.json["message"]) == (400, "create data: there is no node n3")


async def test_of_a_volume_that_is_there_nothing_changes(rig: Any) -> None:
    rig.suite.volumes.add(volume(labels={"a": "b"}))
    for body in ({"Labels": {"c": "d"}}, {"DriverOpts": {"foo": "bar"}}):
        answer = await rig.call("POST", "/volumes/create", {"Name": "data"} | body)
        assert (answer.status, answer.json["Labels"], answer.json["Options"]) == (201, {"a": "b"}, None)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"Name": "a"}, 400, "create a: volume name is too short"),
        ({"Name": "x/y"}, 400, 'create x/y: "x/y" includes invalid characters'),
        ({"Name": "data", "Driver": "foo"}, 404, "create data: error looking up volume plugin foo: plugin"),
        ({"Name": "data", "DriverOpts": {"o": "x"}}, 400, 'create data: missing required option: "device"'),
        ({"DriverOpts": {"o": "x"}}, 400, "create "),
        ({"Name": "data", "ClusterVolumeSpec": {}}, 503, "This node is not a swarm manager."),
        ({"Name": 1}, 400, "invalid JSON: "),
        (b'{"Name":', 400, "invalid JSON: "),
    ],
)
async def test_create_is_refused(rig: Any, body: Any, status: int, message: str) -> None:
    answer = await rig.call("POST", "/v1.45/volumes/create", body)
    assert (answer.status, answer.json["message"][: len(message)]) == (status, message)
    assert not rig.suite.named("volume.create")


async def test_a_cluster_s_volume_is_a_plain_one_for_old_clients(rig: Any) -> None:
    answer = await rig.call("POST", "/v1.41/volumes/create", {"Name": "data", "ClusterVolumeSpec": {}})
    assert answer.status == 201


async def test_what_metadata_refuses(rig: Any) -> None:
    rig.suite.fail["volume.create"] = SeawayError(Code.UNAVAILABLE, "node n1 is down")
    answer = await rig.call("POST", "/volumes/create", {"Name": "data"})
    assert (answer.status, answer.json["message"]) == (503, "node n1 is down")
    assert rig.api.hub.volumes.basis() == {}


# --- list and inspect


async def names(rig: Any, **terms: Any) -> list[str]:
    answer = await rig.call("GET", f"/volumes?{filtered(**terms)}")
    assert (answer.status, answer.json["Warnings"]) == (200, None)
    return [one["Name"] for one in answer.json["Volumes"]]


async def test_list(rig: Any) -> None:
    assert (await rig.call("GET", "/volumes")).json == {"Volumes": [], "Warnings": None}
    for name in ("one", "two", "three"):
        rig.suite.volumes.add(volume(name))
    assert await names(rig) == ["three", "two", "one"]


async def test_filters(rig: Any) -> None:
    rig.suite.volumes.add(volume("front", labels={"k": "v"}))
    rig.suite.volumes.add(volume("back"))
    rig.suite.volumes.add(anonymous())
    rig.suite.add(box("front", "front"))
    assert await names(rig, name=["^b"]) == ["back"]
    assert await names(rig, label=["k=v"]) == ["front"]
    assert await names(rig, label=[LABEL]) == [ANONYMOUS]
    assert await names(rig, driver=["other"]) == []
    assert await names(rig, dangling=["true"]) == [ANONYMOUS, "back"]
    assert await names(rig, dangling=["false"], driver=["local"]) == ["front"]


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"dangling": ["foo"]}, "invalid filter 'dangling=[foo]'"),
        ({"label!": ["x"]}, "invalid filter 'label!'"),
        ({"until": ["1h"]}, "invalid filter 'until'"),
        ({"name": 1}, "error reading volume filters: invalid filter"),
    ],
)
async def test_wrong_filters(rig: Any, terms: Any, message: str) -> None:
    answer = await rig.call("GET", f"/volumes?{filtered(**terms)}")
    assert (answer.status, answer.json["message"]) == (400, message)


async def test_inspect_of_none(rig: Any) -> None:
    answer = await rig.call("GET", "/volumes/nope")
    assert (answer.status, answer.json["message"]) == (404, "get nope: no such volume")


async def test_update_is_for_swarm(rig: Any) -> None:
    answer = await rig.call("PUT", "/volumes/data?version=1", {"Spec": {}})
    message = "volume update only valid for cluster volumes, but swarm is unavailable"
    assert (answer.status, answer.json["message"]) == (503, message)


# --- remove


async def test_remove(rig: Any) -> None:
    rig.suite.volumes.add(volume())
    answer = await rig.call("DELETE", "/volumes/data")
    assert (answer.status, answer.body) == (204, b"")
    assert rig.api.hub.volumes.basis() == {"id of data": GONE}
    (asked,) = rig.suite.named("volume.remove")
    assert (asked.name, asked.force) == ("data", False)


@pytest.mark.parametrize(("query", "status"), [("", 404), ("?force=1", 204), ("?force=0", 404)])
async def test_remove_what_is_not_there(rig: Any, query: str, status: int) -> None:
    assert (await rig.call("DELETE", f"/volumes/nope{query}")).status == status


@pytest.mark.parametrize("query", ["", "?force=1"])
async def test_one_in_use_stays(rig: Any, query: str) -> None:
    rig.suite.volumes.add(volume())
    rig.suite.add(box("data"))
    answer = await rig.call("DELETE", f"/volumes/data{query}")
    assert (answer.status, answer.json["message"]) == (409, f"remove data: volume is in use - [{BOX}]")
    assert "data" in rig.suite.volumes.volumes and rig.api.hub.volumes.basis() == {}
    assert [asked.force for asked in rig.suite.named("volume.remove")] == [bool(query)]


# --- prune


@pytest.fixture
def five(rig: Any) -> None:
    """Unused: one with a label, one with an option, an anonymous one. Used: one, and an anonymous one."""
    for one in (
        volume("plain", labels={"k": "v"}),
        volume("optioned", options={"type": "tmpfs", "device": "x"}),
        volume("used"),
        anonymous("b" * 64),
        anonymous(),
    ):
        rig.suite.volumes.add(one)
    rig.suite.volumes.sizes |= {ANONYMOUS: 7, "id of plain": 100, "id of used": 1000}
    rig.suite.add(box("used", "b" * 64))


@pytest.mark.parametrize(
    ("path", "removed", "reclaimed"),
    [
        ("/v1.42/volumes/prune", [ANONYMOUS], 7),
        (f"/volumes/prune?{filtered(all=['0'])}", [ANONYMOUS], 7),
        (f"/volumes/prune?{filtered(all=['true'])}", [ANONYMOUS, "plain"], 107),
        ("/v1.41/volumes/prune", [ANONYMOUS, "plain"], 107),
        (f"/volumes/prune?{filtered(all=['1'], label=['k'])}", ["plain"], 100),
        (f"/volumes/prune?{filtered(all=['1'], **{'label!': ['k=v']})}", [ANONYMOUS], 7),
        (f"/volumes/prune?{filtered(label=['k'])}", [], 0),
    ],
)
@pytest.mark.usefixtures("five")
async def test_prune(rig: Any, path: str, removed: list[str], reclaimed: int) -> None:
    answer = await rig.call("POST", path)
    assert (answer.status, answer.json) == (200, {"VolumesDeleted": removed, "SpaceReclaimed": reclaimed})
    assert len(rig.suite.volumes.volumes) == 5 - len(removed)
    assert [(told.kind, told.reclaimed) for told in rig.suite.named("pruned")] == [("volume", reclaimed)]


@pytest.mark.usefixtures("five")
async def test_prune_removes_what_it_has_chosen(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not another volume that has the name by then."""
    sizes = volumes.volume_sizes

    async def replaced(*asked: Any) -> Any:
        rig.suite.volumes.add(volume("plain", id="another"))
        return await sizes(*asked)

    monkeypatch.setattr(volumes, "volume_sizes", replaced)
    answer = await rig.call("POST", f"/volumes/prune?{filtered(all=['1'])}")
    assert answer.json["VolumesDeleted"] == [ANONYMOUS] and "plain" in rig.suite.volumes.volumes


@pytest.mark.usefixtures("five")
async def test_what_can_t_be_removed_is_left(rig: Any) -> None:
    rig.suite.fail["volume.remove"] = SeawayError(Code.CONFLICT, "volume is in use")
    rig.suite.fail["volume.measure"] = SeawayError(Code.UNAVAILABLE, "no answer")
    assert (await rig.call("POST", "/volumes/prune")).json == {"VolumesDeleted": [], "SpaceReclaimed": 0}


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"all": ["x"]}, "invalid filter 'all': strconv.ParseBool: parsing \"x\": invalid syntax"),
        ({"until": ["10h"]}, "invalid filter 'until'"),
    ],
)
async def test_wrong_prune(rig: Any, terms: Any, message: str) -> None:
    answer = await rig.call("POST", f"/volumes/prune?{filtered(**terms)}")
    assert (answer.status, answer.json["message"]) == (400, message)
    assert not rig.suite.named("pruned")


# --- disk usage


@pytest.mark.usefixtures("five")
async def test_disk_usage(rig: Any) -> None:
    rig.suite.volumes.add(volume("nowhere", node=""))
    rig.suite.volumes.add(volume("away", node="n2"))
    usage = {one["Name"]: one["UsageData"] for one in (await rig.call("GET", "/system/df")).json["Volumes"]}
    assert usage == {
        "plain": {"RefCount": 0, "Size": 100},
        "used": {"RefCount": 1, "Size": 1000},
        "b" * 64: {"RefCount": 1, "Size": -1},
        ANONYMOUS: {"RefCount": 0, "Size": 7},
        "nowhere": {"RefCount": 0, "Size": 0},
        "away": {"RefCount": 0, "Size": -1},
    }


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("/system/df", {"Images", "Containers", "Volumes", "BuildCache"}),
        ("/system/df?type=volume", {"Volumes"}),
        ("/v1.42/system/df?type=volume&type=image", {"Volumes", "Images"}),
        ("/system/df?type=container&type=build-cache", {"Containers", "BuildCache"}),
        ("/v1.41/system/df?type=volume", {"Images", "Containers", "Volumes", "BuildCache"}),
    ],
)
async def test_disk_usage_of_some_kinds(rig: Any, path: str, there: set[str]) -> None:
    shown = (await rig.call("GET", path)).json
    assert {field for field, value in shown.items() if isinstance(value, list)} == there
    assert (shown["LayersSize"] > 0) == ("Images" in there)


async def test_disk_usage_of_an_unknown_kind(rig: Any) -> None:
    answer = await rig.call("GET", "/system/df?type=volume&type=nope")
    assert (answer.status, answer.json["message"]) == (400, "unknown object type: nope")


# --- of containers


def asked_box(**host: Any) -> dict[str, Any]:
    return {"Image": "busybox", "Cmd": ["true"], "HostConfig": host}


async def test_a_container_s_new_volume_is_known_at_once(rig: Any) -> None:
    rig.suite.volumes.add(volume("old"))
    answer = await rig.call("POST", "/containers/create", asked_box(Binds=["data:/a", "old:/b", "/anonymous"]))
    assert answer.status == 201
    assert rig.api.hub.volumes.basis() == {"id of data": 1}


async def test_labels_and_options_of_a_mount(rig: Any) -> None:
    driver = {"Name": "local", "Options": {"type": "tmpfs", "device": "tmpfs"}}
    options = {"Labels": {"a": "b"}, "DriverConfig": driver, "Subpath": "x", "NoCopy": True}
    mount = {"Type": "volume", "Source": "data", "Target": "/a", "VolumeOptions": options}
    assert (await rig.call("POST", "/containers/create", asked_box(Mounts=[mount]))).status == 201
    (asked,) = rig.suite.named("register")
    (mounted,) = asked.spec.mounts
    assert (mounted.volume_labels, mounted.volume_options) == ({"a": "b"}, driver["Options"])
    assert (mounted.subpath, mounted.no_copy) == ("x", True)


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ({"VolumeDriver": "foo", "Binds": ["vol:/a"]}, "create vol: error looking up volume plugin foo: plugin"),
        (
            {"Mounts": [{"Type": "volume", "Source": "vol", "Target": "/a",
                         "VolumeOptions": {"DriverConfig": {"Name": "foo"}}}]},
            "create vol: error looking up volume plugin foo: plugin",
        ),
        (
            {"Mounts": [{"Type": "volume", "Source": "vol", "Target": "/a",
                         "VolumeOptions": {"DriverConfig": {"Options": {"foo": "1"}}}}]},
            'create vol: invalid option: "foo"',
        ),
        (
            {"Mounts": [{"Type": "volume", "Target": "/a", "VolumeOptions": {"DriverConfig": {"Options": {"o": ""}}}}]},
            'missing required option: "device"',
        ),
    ],
)  # fmt: skip
async def test_a_mount_is_refused_behind_a_missing_image(rig: Any, host: Any, message: str) -> None:
    answer = await rig.call("POST", "/containers/create", asked_box(**host))
    assert (answer.status, answer.json["message"][: len(message)]) == (400, message)
    answer = await rig.call("POST", "/containers/create", asked_box(**host) | {"Image": "nope"})
    assert (answer.status, answer.json["message"]) == (404, "No such image: nope:latest")
    assert not rig.suite.named("register")


@pytest.mark.parametrize(("binds", "status"), [([], 400), (["/tmp:/data/"], 201)])
async def test_a_plugin_for_an_image_s_volume(rig: Any, binds: list[str], status: int) -> None:
    image = builders.image()
    config = image.config.model_copy(update={"volumes": ("/data",)})
    rig.suite.images["busybox"] = image.model_copy(update={"config": config})
    answer = await rig.call("POST", "/containers/create", asked_box(VolumeDriver="foo", Binds=binds))
    assert answer.status == status
    assert len(rig.suite.named("register")) == (status == 201)


# --- events and freshness


async def emit(rig: Any, channel: Any, body: VolumeEvent) -> None:
    """Publish an event of metadata."""
    subject = volume_subject(body.name)
    envelope = Envelope(
        f"{channel.action}-{body.name}", "cluster", "volume", channel.action, subject, builders.START_NS
    )
    await rig.suite.bus.transport.store(channel.subject("cluster", subject), channel.encode(body), envelope.headers())


async def test_events(rig: Any) -> None:
    wire = await rig.wire()
    wire.send(f"GET /v1.45/events?{filtered(type=['volume'], volume=['back'])} HTTP/1.1\r\nHost: d\r\n\r\n".encode())
    assert (await wire.head())[0] == 200
    for name in ("front", "back"):
        await emit(rig, VOLUME_CREATE, VolumeEvent(name=name, id=f"id of {name}", attributes={"driver": "local"}))
    assert orjson.loads(await wire.chunk()) == {
        "Type": "volume",
        "Action": "create",
        "Actor": {"ID": "back", "Attributes": {"driver": "local"}},
        "scope": "local",
        "time": builders.START_NS // 10**9,
        "timeNano": builders.START_NS,
    }


async def test_reads_show_what_was_heard(rig: Any) -> None:
    await emit(rig, VOLUME_CREATE, VolumeEvent(name="data", id="1"))
    await emit(rig, VOLUME_CREATE, VolumeEvent(name=ANONYMOUS, id=ANONYMOUS, anonymous=True))
    await emit(rig, VOLUME_DESTROY, VolumeEvent(name="old", id="2"))
    await rig.quiet()
    rig.api.hub.answers.add(BOX, builders.status(seq=4))
    for path in ("/volumes", "/volumes/data"):
        await rig.call("GET", path)
    await rig.call("DELETE", "/volumes/data")
    for name in ("list", "get", "remove"):
        (asked,) = rig.suite.named(f"volume.{name}")
        assert (asked.basis, asked.containers) == ({"1": 1, "2": GONE}, {BOX: 4})
