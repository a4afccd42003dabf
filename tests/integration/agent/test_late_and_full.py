"""Commands that come too late, and commands that come when the bus takes no events."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from tests.integration.agent.rig import AgentRig

from seaway_bus.bus import Bus, Command
from seaway_bus.events import history
from seaway_bus.nats_transport import NatsTransport
from seaway_contracts import catalogue
from seaway_contracts.commands import ContainerId, CreateContainer
from seaway_contracts.containers import State
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.execs import CreateExec, ExecSpec
from seaway_testing.nats_server import NatsServer

pytestmark = pytest.mark.root
_BOUND = 1 << 16


@pytest.fixture
def nats_url(nats: NatsServer) -> str:
    """A server of its own, whose stream is filled up."""
    return nats.url


@pytest.fixture
def small_outbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAWAY_OUTBOX_BYTES", str(_BOUND))


@pytest.fixture
async def admin(nats: NatsServer) -> AsyncIterator[NatsTransport]:
    transport = await NatsTransport.connect(nats.url, name="admin")
    yield transport
    await transport.close()


async def test_what_was_asked_of_an_agent_that_stood_still_is_not_done_late(rig: AgentRig) -> None:
    container, command = await rig.create(rig.spec("sleep", "1000")), Command.new()
    with rig.standing_still():
        with pytest.raises(SeawayError) as silent:
            await rig.bus.call(
                catalogue.START, ContainerId(id=container), node=rig.node, command=command, timeout_s=0.3
            )
        assert silent.value.code is Code.TIMEOUT
    await rig.until(rig.answers)
    assert (await rig.inventory())[container].status.state is State.CREATED
    assert rig.told(container) == ["create"]
    await rig.start_container(container, command)  # the same, in time
    assert rig.told(container).count("start") == 1


async def test_what_is_removed_while_it_is_made_does_not_come_into_being(rig: AgentRig) -> None:
    """Its maker has given up, and its name may be another's by now."""
    spec = rig.spec("true")
    rig.blobs.gate.clear()
    try:
        with pytest.raises(SeawayError) as late:
            await rig.bus.call(catalogue.CREATE, CreateContainer(spec=spec), node=rig.node, timeout_s=1)
        assert late.value.code is Code.TIMEOUT and rig.blobs.fetched.is_set()
        with pytest.raises(SeawayError) as absent:
            await rig.remove(spec.id, force=True)
        assert absent.value.code is Code.NOT_FOUND
    finally:
        rig.blobs.gate.set()
    refused: list[str] = []

    async def ended() -> bool:
        with pytest.raises(SeawayError) as caught:
            await rig.bus.call(catalogue.CREATE, CreateContainer(spec=spec), node=rig.node)
        refused.append(str(caught.value))
        return "was removed while" in refused[-1]

    await rig.until(ended, lambda: str(refused))
    assert await rig.inventory() == {}
    assert rig.told(spec.id) == []


async def test_what_nobody_waits_for_is_rejected_unless_it_is_there_or_being_made(rig: AgentRig) -> None:
    made, making, never = await rig.create(rig.spec("true")), rig.spec("true"), rig.spec("true")

    async def rejected(container: str) -> bool:
        reply = await rig.bus.call(catalogue.REJECT_CREATE, ContainerId(id=container), node=rig.node)
        return reply.rejected

    assert not await rejected(never.id), "a command of which the agent before knew may be repeated"
    began = time.monotonic()
    while not await rejected(never.id):
        assert time.monotonic() - began < 40
        await asyncio.sleep(0.2)
    with pytest.raises(SeawayError, match="was removed while") as refused:
        await rig.create(never)
    assert refused.value.code is Code.CONFLICT
    other = rig.blobs.layer.model_copy(update={"diff_id": "sha256:" + "0" * 64})
    slow = making.model_copy(update={"image": making.image.model_copy(update={"layers": (other,)})})
    rig.blobs.gate.clear()
    rig.blobs.fetched.clear()
    creating = asyncio.ensure_future(rig.bus.call(catalogue.CREATE, CreateContainer(spec=slow), node=rig.node))
    try:
        await rig.blobs.fetched.wait()
        assert not await rejected(slow.id)
        assert not await rejected(made)
    finally:
        rig.blobs.gate.set()
    with pytest.raises(SeawayError):
        await creating  # such a layer there is not
    assert await rejected(slow.id)
    assert rig.told(made) == ["create"]


async def test_with_a_full_outbox_nothing_new_begins_and_what_is_there_goes_on(
    small_outbox: None, rig: AgentRig, admin: NatsTransport
) -> None:
    busy, ends = [await rig.create(rig.spec("sleep", "1000")) for _ in range(2)]
    idle = await rig.create(rig.spec("true"))
    for container in (busy, ends):
        await rig.start_container(container)
    await rig.all_stored()
    stream = (await admin._api(f"STREAM.INFO.{catalogue.EVENT_STREAM.name}"))["config"]
    limits = {"discard": "new", "max_bytes": 1}
    await admin._api(f"STREAM.UPDATE.{catalogue.EVENT_STREAM.name}", stream | limits)
    await _fill(rig, busy)
    await _begins_nothing(rig, busy, idle)
    await rig.stop(ends, 0)
    await rig.remove(busy, force=True)
    assert set(await rig.inventory()) == {idle, ends}
    assert rig.told(ends) == ["create", "start", "kill", "kill", "stop", "die"], "told, though nothing is stored"
    assert rig.told(busy)[-3:] == ["kill", "die", "destroy"]
    assert await _stored(rig.bus, ends) == ["create", "start"]
    await admin._api(f"STREAM.UPDATE.{catalogue.EVENT_STREAM.name}", stream)
    await _takes_work_again(rig, idle)
    assert await _stored(rig.bus, ends) == ["create", "start", "kill", "kill", "stop", "die"]
    await rig.until(lambda: _gone(rig.bus, busy))
    assert (await _stored(rig.bus, busy))[-3:] == ["kill", "die", "destroy"]


async def _fill(rig: AgentRig, container: str) -> None:
    for _ in range(200):
        for channel in (catalogue.PAUSE, catalogue.UNPAUSE):
            await rig.bus.call(channel, ContainerId(id=container), node=rig.node)
        if await _refused(rig, container):
            return
    raise AssertionError("the outbox never filled up")


async def _refused(rig: AgentRig, container: str) -> bool:
    try:
        await rig.start_container(container)
    except SeawayError as error:
        return "begins nothing new" in error.message
    return False


async def _begins_nothing(rig: AgentRig, running: str, idle: str) -> None:
    spec = ExecSpec(id=running[:32] + "0" * 32, args=("true",))
    for work in (
        rig.create(rig.spec("true")),
        rig.start_container(idle),
        rig.bus.call(catalogue.CREATE_EXEC, CreateExec(container=running, spec=spec), node=rig.node),
    ):
        with pytest.raises(SeawayError, match="begins nothing new; try again when NATS takes them") as refusal:
            await work
        assert refusal.value.status == 503


async def _takes_work_again(rig: AgentRig, idle: str) -> None:
    async def started() -> bool:
        try:
            await rig.start_container(idle)
        except SeawayError as error:
            assert error.code is Code.UNAVAILABLE
            return False
        return True

    await rig.until(started)
    await rig.died(idle)


async def _gone(bus: Bus, container: str) -> bool:
    return (await _stored(bus, container))[-1] == "destroy"


async def _stored(bus: Bus, container: str) -> list[str]:
    return [e.envelope.action async for e in history(bus.transport, start_ns=0) if e.envelope.subject_id == container]
