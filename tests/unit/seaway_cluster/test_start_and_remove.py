"""Start and remove, also what was registered and whose maker died before the node heard of it."""

from typing import Any

import pytest

from seaway_bus.bus import Bus
from seaway_cluster.records import metadata_records
from seaway_cluster.start_and_remove import remove, start
from seaway_contracts.commands import RemoveContainer
from seaway_contracts.containers import ContainerRecord, EndpointSpec, Mount, State
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.networks import NetworkRecord, network_id
from seaway_contracts.volumes import VolumeRecord
from seaway_testing import builders

ID = builders.container_id(1)


def registered(suite: Any) -> ContainerRecord:
    """One of which no event was ever published."""
    return suite.add(builders.record(1, seq=0))


async def removed(bus: Bus, **options: bool) -> bool:
    return await remove(bus, "tester", metadata_records(bus), RemoveContainer(id=ID, **options), "n1")


async def test_a_start(fake_bus: Bus, suite: Any) -> None:
    suite.add(builders.record(1, seq=1))
    status = await start(fake_bus, "tester", metadata_records(fake_bus), ID, "n1")
    assert (status.state, suite.kinds) == (State.RUNNING, ["container.start"])
    assert suite.calls[0][2].actor == "tester"


async def test_whoever_starts_what_is_registered_alone_has_it_made_first(fake_bus: Bus, suite: Any) -> None:
    record = registered(suite)
    status = await start(fake_bus, "tester", metadata_records(fake_bus), ID, "n1")
    assert status.state is State.RUNNING
    assert suite.kinds == ["container.start", "container.get", "container.create", "container.start"]
    assert suite.named("container.create")[0].spec == record.spec


async def test_its_networks_come_with_it(fake_bus: Bus, suite: Any) -> None:
    web = NetworkRecord(id="a" * 64, name="web", created_ns=1)
    suite.networks[web.id] = web
    names = {"web": web.id, "gone": "b" * 64, "unknown": "", "bridge": network_id("bridge")}
    endpoints = tuple(EndpointSpec(network=name, network_id=identifier) for name, identifier in names.items())
    spec = builders.spec(1, network=builders.networking(endpoints=endpoints))
    suite.add(ContainerRecord(spec=spec, node="n1", status=builders.status(seq=0)))
    await start(fake_bus, "tester", metadata_records(fake_bus), ID, "n1")
    assert suite.named("container.create")[0].networks == (web,)
    assert [one.ref for one in suite.named("network.get")] == [web.id, "b" * 64]


async def test_its_volumes_come_with_it(fake_bus: Bus, suite: Any) -> None:
    """Those that it mounts by name; each is asked for once, and one that was removed is left out."""
    suite.volumes["data"] = data = VolumeRecord(id="a" * 64, name="data", created_ns=1)
    mounts = (
        *(Mount(type="volume", target=target, source="data") for target in ("/a", "/b")),
        Mount(type="volume", target="/c", source="gone"),
        Mount(type="volume", target="/d", source="b" * 64, anonymous=True),
        Mount(type="bind", target="/e", source="/etc"),
    )
    suite.add(ContainerRecord(spec=builders.spec(1, mounts=mounts), node="n1", status=builders.status(seq=0)))
    await start(fake_bus, "tester", metadata_records(fake_bus), ID, "n1")
    assert suite.named("container.create")[0].volumes == (data,)
    assert [one.name for one in suite.named("volume.get")] == ["data", "gone"]


async def test_one_that_was_made_and_is_gone_is_not_made_again(fake_bus: Bus, suite: Any) -> None:
    suite.add(builders.record(1, seq=3))
    suite.fail["container.start"] = suite.fail["container.remove"] = SeawayError(Code.NOT_FOUND, "No such container")
    for work in (start(fake_bus, "", metadata_records(fake_bus), ID, "n1"), removed(fake_bus)):
        with pytest.raises(SeawayError, match="No such container"):
            await work
    assert not {"container.create", "container.forget"} & set(suite.kinds)


async def test_a_removal(fake_bus: Bus, suite: Any) -> None:
    suite.add(builders.record(1, seq=1))
    assert await removed(fake_bus, force=True, volumes=True)
    assert suite.named("container.remove") == [RemoveContainer(id=ID, force=True, volumes=True)]
    assert not suite.named("container.forget")


@pytest.mark.parametrize(("code", "unheard"), [(Code.NOT_FOUND, False), (Code.UNAVAILABLE, True), (Code.TIMEOUT, True)])
async def test_what_is_registered_alone_has_its_registration_taken_back(
    fake_bus: Bus, suite: Any, code: Code, unheard: bool
) -> None:
    registered(suite)
    suite.fail["container.remove"] = SeawayError(code, "no")
    assert not await removed(fake_bus)
    assert [one.unheard for one in suite.named("container.forget")] == [unheard]
    assert suite.records == {}


async def test_a_refused_removal(fake_bus: Bus, suite: Any) -> None:
    registered(suite)
    suite.fail["container.remove"] = SeawayError(Code.CONFLICT, "it runs")
    with pytest.raises(SeawayError, match="it runs"):
        await removed(fake_bus)
    assert not suite.named("container.forget")
