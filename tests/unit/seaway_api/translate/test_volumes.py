"""Volumes: the record that a create body makes, what is refused, and what is shown."""

from typing import Any

import pytest

from seaway_api.translate.volumes import (
    check_all,
    check_drivers,
    volume_json,
    volume_places,
    volume_record,
    volume_users,
)
from seaway_contracts.containers import ContainerRecord, Mount
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.nodes import NodeFacts
from seaway_contracts.volumes import VolumeRecord
from seaway_docker.errors import InvalidParameter
from seaway_docker.filters import Filters
from seaway_docker.go_json import read_body
from seaway_docker.model_host import HostConfig
from seaway_docker.volumes import VolumeCreate
from seaway_testing import builders

ID = "d" * 64
SECOND = 1_000_000_000


def record(**body: Any) -> VolumeRecord:
    return volume_record(read_body(VolumeCreate, body), ID, 5 * SECOND, ["n1"])


def test_a_record() -> None:
    made = record(Name="data", Labels={"a": "b"}, DriverOpts={"type": "tmpfs", "device": "x", "node": "n1"})
    assert made == VolumeRecord(
        id=ID,
        name="data",
        created_ns=5 * SECOND,
        node="n1",
        labels={"a": "b"},
        options={"type": "tmpfs", "device": "x"},
    )


def test_without_a_name_it_has_its_id_and_a_label() -> None:
    made = record(Labels={"a": "b"})
    assert (made.name, made.labels) == (ID, {"a": "b", "com.docker.volume.anonymous": ""})
    assert not made.anonymous, "no container has it: its removal is its user's"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"Name": "a"}, "create a: volume name is too short, names should be at least two alphanumeric characters"),
        ({"Name": "-a"}, 'create -a: "-a" includes invalid characters for a local volume name'),
        ({"Name": "x/y"}, 'create x/y: "x/y" includes invalid characters for a local volume name'),
        ({"Name": "a" * 256}, f"create {'a' * 256}: volume name is too long, at most 255 characters are possible"),
        ({"Name": "ab", "DriverOpts": {"foo": "1"}}, 'create ab: invalid option: "foo"'),
        ({"DriverOpts": {"foo": "1"}}, f'create {ID}: invalid option: "foo"'),
    ],
)
def test_what_is_refused(body: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        record(**body)
    assert str(refused.value).startswith(message)


def test_other_drivers() -> None:
    with pytest.raises(SeawayError) as refused:
        record(Name="a", Driver="foo")
    assert refused.value.code is Code.NOT_FOUND
    assert refused.value.message == 'create a: error looking up volume plugin foo: plugin "foo" not found'
    assert record(Name="ab", Driver="local").driver == "local"


def test_unknown_nodes() -> None:
    with pytest.raises(SeawayError) as refused:
        record(Name="ab", DriverOpts={"node": "n9"})
    assert (refused.value.code, refused.value.message) == (Code.BAD_REQUEST, "create ab: there is no node n9")


# --- of containers


def mounted(driver: str) -> dict[str, Any]:
    options = {"DriverConfig": {"Name": driver}}
    return {"Mounts": [{"Type": "volume", "Source": "vol", "Target": "/x", "VolumeOptions": options}]}


@pytest.mark.parametrize(
    ("host", "declared", "volume"),
    [
        ({"VolumeDriver": "foo", "Binds": ["vol:/x"]}, (), "create vol: "),
        ({"VolumeDriver": "foo", "Binds": ["/x"]}, (), ""),
        ({"VolumeDriver": "foo"}, ("/data",), ""),
        (mounted("foo"), (), "create vol: "),
    ],
)
def test_plugins_are_refused(host: dict[str, Any], declared: tuple[str, ...], volume: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        check_drivers(read_body(HostConfig, host), declared)
    assert str(refused.value) == f'{volume}error looking up volume plugin foo: plugin "foo" not found'


@pytest.mark.parametrize(
    "host",
    [
        {"VolumeDriver": "foo"},
        {"VolumeDriver": "foo", "Binds": ["/tmp:/x"], **mounted("")},
        {"VolumeDriver": "local", "Binds": ["vol:/x"]},
        mounted("local"),
    ],
)
def test_where_no_plugin_is_needed(host: dict[str, Any]) -> None:
    check_drivers(read_body(HostConfig, host), ())


# --- shown


def test_shown() -> None:
    volume = VolumeRecord(id=ID, name="data", created_ns=builders.START_NS + 5, node="n2", options={"type": "tmpfs"})
    shown = volume_json(volume, {"n2": "/var/volumes"})
    assert shown == {
        "CreatedAt": shown["CreatedAt"],
        "Driver": "local",
        "Labels": None,
        "Mountpoint": "/var/volumes/data/_data",
        "Name": "data",
        "Options": {"type": "tmpfs"},
        "Scope": "local",
    }
    assert len(shown["CreatedAt"]) == len("2026-12-01T20:14:01Z")


def test_a_volume_without_a_node_is_nowhere_yet() -> None:
    assert volume_json(VolumeRecord(id=ID, name="data", created_ns=0), {"n2": "/v"})["Mountpoint"] == ""


def test_usage() -> None:
    usage = {"RefCount": 1, "Size": -1}
    assert volume_json(VolumeRecord(id=ID, name="data", created_ns=0), {}, usage)["UsageData"] == usage


def test_places_and_users() -> None:
    node = builders.node_record("n2")
    facts = node.beat.model_copy(update={"facts": NodeFacts(volumes="/v")})
    assert volume_places([node.model_copy(update={"beat": facts})]) == {"n2": "/v"}
    mounts = (
        Mount(type="volume", source="data", target="/a"),
        Mount(type="volume", source="data", target="/b"),
        Mount(type="bind", source="data", target="/c"),
    )
    spec = builders.spec(1, mounts=mounts)
    assert volume_users([ContainerRecord(spec=spec, node="n1")] * 2) == {"data": 2}


@pytest.mark.parametrize(("values", "named"), [((), False), (("1",), True), (("true",), True), (("false",), False)])
def test_whether_a_prune_takes_all(values: tuple[str, ...], named: bool) -> None:
    assert check_all(Filters({"all": values} if values else {})) is named


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("foo",), "invalid filter 'all': strconv.ParseBool: parsing \"foo\": invalid syntax"),
        (("1", "0"), "invalid filter 'all=[1 0]'"),
    ],
)
def test_a_prune_of_all_or_not(values: tuple[str, ...], message: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        check_all(Filters({"all": values}))
    assert str(refused.value) == message
