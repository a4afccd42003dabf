"""What becomes of a volume's record when a container is registered with it, and which containers use it."""

import pytest

from seaway_contracts.containers import ContainerRecord, Mount
from seaway_contracts.docker_errors import no_such_volume, no_such_volume_driver, volume_in_use
from seaway_contracts.volumes import VolumeRecord
from seaway_metadata.kinds.volumes import (
    VOLUMES,
    anonymous_volume,
    chosen,
    named,
    named_mounts,
    used,
    users,
    volumes_of,
)
from seaway_metadata.store.index import Index
from seaway_testing.builders import spec

DATA = VolumeRecord(id="d" * 64, name="data", created_ns=1)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"node": "n1", "bound_for": "c1", "version": 2}),
        ({"node": "n1", "bound_for": "c1"}, {"node": "n1", "bound_for": "c1"}),
        ({"node": "n2", "bound_for": "c1"}, {"node": "n1", "bound_for": "c1", "version": 2}),
        ({"node": "n1", "bound_for": "c2"}, {"node": "n1", "version": 2}),
        ({"node": "n2", "bound_for": "c2"}, {"node": "n2", "bound_for": "c2"}),
        ({"node": "n1"}, {"node": "n1"}),
        ({"node": "n2"}, {"node": "n2"}),
        ({"node": "n1", "made_for": "c1"}, {"node": "n1", "made_for": "c1"}),
        ({"node": "n2", "made_for": "c1"}, {"node": "n1", "made_for": "c1", "version": 2}),
        ({"node": "n1", "made_for": "c2"}, {"node": "n1", "version": 2}),
        ({"node": "n2", "made_for": "c2"}, {"node": "n2", "made_for": "c2"}),
        ({"removed": True, "made_for": "c2"}, {"removed": True, "made_for": "c2"}),
    ],
)
def test_used_by_container_c1_on_node_n1(before: dict[str, object], after: dict[str, object]) -> None:
    volume = DATA.model_copy(update=before)
    assert used(volume, "n1", "c1") == DATA.model_copy(update=after)
    assert (used(volume, "n1", "c1") is volume) == ("version" not in after)


@pytest.mark.parametrize(
    ("before", "node", "after"),
    [
        ({"node": "n1"}, "n1", {"node": "n1"}),
        ({"node": "n1"}, "", {"node": "n1"}),
        ({}, "", {}),
        ({}, "n1", {"node": "n1", "version": 2}),
        ({"node": "n1", "made_for": "c1"}, "", {"node": "n1", "version": 2}),
        ({"node": "n2", "made_for": "c1"}, "n1", {"node": "n2", "made_for": "c1"}),
        ({"node": "n1", "bound_for": "c1"}, "", {"node": "n1", "bound_for": "c1"}),
        ({"node": "n1", "bound_for": "c1"}, "n1", {"node": "n1", "version": 2}),
        ({"removed": True, "made_for": "c1"}, "", {"removed": True, "made_for": "c1"}),
    ],
)
def test_chosen_by_a_user_who_creates_it(before: dict[str, object], node: str, after: dict[str, object]) -> None:
    volume = DATA.model_copy(update=before)
    assert chosen(volume, node) == DATA.model_copy(update=after)
    assert (chosen(volume, node) is volume) == ("version" not in after)


def test_only_names_find_volumes() -> None:
    index, nameless = Index(VOLUMES), anonymous_volume("a" * 64, "n1", 1, {}, {})
    for volume in (DATA, nameless):
        index.put(volume)
    assert [named(index, ref) for ref in ("data", "a" * 64)] == [DATA, nameless]
    assert [named(index, ref) for ref in (DATA.id, DATA.id[:12], "a" * 63, "dat", "")] == [None] * 5
    freed = DATA.model_copy(update={"name": "", "version": 2})
    index.put(freed)
    assert named(index, "data") is None and named(index, "") is None


def test_who_mounts_what() -> None:
    mounts = (
        Mount(type="volume", target="/a", source="data", read_only=True),
        Mount(type="volume", target="/b", source="data"),
        Mount(type="volume", target="/c", source="a" * 64, anonymous=True),
        Mount(type="bind", target="/d", source="other"),
        Mount(type="tmpfs", target="/e"),
    )
    one, other = ContainerRecord(spec=spec(1, mounts=mounts), node="n1"), ContainerRecord(spec=spec(2), node="n1")
    assert named_mounts(one.spec) == {"data": mounts[0]} and named_mounts(other.spec) == {}
    found = {name: users(name, (one, other)) for name in ("data", "a" * 64, "other", "")}
    assert found == {"data": [one.id], "a" * 64: [one.id], "other": [], "": []}
    index = Index(VOLUMES)
    assert volumes_of(index, one.spec) == []
    index.put(DATA)
    assert volumes_of(index, one.spec) == [DATA]


def test_docker_s_words() -> None:
    assert no_such_volume("data").body().message == "get data: no such volume"
    assert volume_in_use("data", ("c1", "c2")).message == "remove data: volume is in use - [c1, c2]"
    text = 'error looking up volume plugin foo: plugin "foo" not found'
    assert [no_such_volume_driver(name, "foo").message for name in ("data", "")] == [f"create data: {text}", text]
    statuses = [one.status for one in (no_such_volume("x"), volume_in_use("x", ()), no_such_volume_driver("x", "y"))]
    assert statuses == [404, 409, 404]
