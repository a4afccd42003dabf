"""Each change that metadata makes by command is an event with cause and actor, and none of these shows a secret."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.seaway_metadata.commands.joining_rig import SECRET, request, token
from tests.unit.seaway_metadata.rig import known

from seaway_bus import node_keys
from seaway_bus.bus import Bus, Command
from seaway_bus.events import Event, read_event
from seaway_contracts import catalogue as cat
from seaway_contracts.commands import Pruned
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.joining import TokenEvent, TokenRef, hash_of
from seaway_contracts.lifecycle import CLUSTER
from seaway_contracts.networks import CreateNetwork, NetworkRecord, NetworkRef
from seaway_contracts.node_settings import UpdateCluster, UpdateNode
from seaway_contracts.nodes import AddedNode, RemoveNode
from seaway_contracts.users import CreateUser, RotateUser, UserRef
from seaway_contracts.volumes import CreateVolume, RemoveVolume, VolumeRecord
from seaway_metadata.service import Metadata
from seaway_testing.builders import beat
from seaway_testing.fake_transport import FakeServer
from seaway_testing.waiting import until

KEY, OTHER_KEY = (node_keys.public_key(node_keys.new_seed()) for _ in range(2))
WEB = NetworkRecord(id="a" * 64, name="web", created_ns=1)
DATA = VolumeRecord(id="b" * 64, name="data", created_ns=1)


def events(server: FakeServer) -> list[Event]:
    found = map(read_event, server.streams[cat.EVENT_STREAM.name].messages)
    return [event for event in found if event is not None]


async def joined(bus: Bus) -> None:
    """A node beats."""
    await bus.transport.publish(cat.BEAT.subject(node="n1"), cat.BEAT.encode(beat()))


async def network(bus: Bus) -> None:
    await bus.call(cat.CREATE_NETWORK, CreateNetwork(network=WEB))


async def volume(bus: Bus) -> None:
    await bus.call(cat.CREATE_VOLUME, CreateVolume(volume=DATA))


async def has_token(bus: Bus) -> None:
    await bus.call(cat.CREATE_TOKEN, token())


async def has_user(bus: Bus) -> None:
    await bus.call(cat.CREATE_USER, CreateUser(name="ann", public_key=KEY))


async def nothing(bus: Bus) -> None:
    pass


CHANGES: list[tuple[str, Callable[[Bus], Any], Any, Any]] = [
    ("network.create", nothing, cat.CREATE_NETWORK, CreateNetwork(network=WEB)),
    ("network.destroy", network, cat.REMOVE_NETWORK, NetworkRef(ref="web")),
    ("volume.create", nothing, cat.CREATE_VOLUME, CreateVolume(volume=DATA)),
    ("volume.destroy", volume, cat.REMOVE_VOLUME, RemoveVolume(name="data")),
    ("node.update", joined, cat.UPDATE_NODE, UpdateNode(node="n1", labels={"disk": "ssd"})),
    ("node.add", nothing, cat.ANNOUNCE_NODE, AddedNode(node="n2")),
    ("node.remove", joined, cat.REMOVE_NODE, RemoveNode(node="n1")),
    ("cluster.update", nothing, cat.UPDATE_CLUSTER, UpdateCluster(strategy="binpack")),
    ("cluster.prune", nothing, cat.TELL_PRUNE, Pruned(kind="image", reclaimed=1)),
    ("token.create", nothing, cat.CREATE_TOKEN, token()),
    ("user.create", nothing, cat.CREATE_USER, CreateUser(name="ann", public_key=KEY)),
    ("user.rotate", has_user, cat.ROTATE_USER, RotateUser(name="ann", public_key=OTHER_KEY)),
    ("user.remove", has_user, cat.REMOVE_USER, UserRef(name="ann")),
    ("token.remove", has_token, cat.REMOVE_TOKEN, TokenRef(id=token().id)),
]


@pytest.mark.parametrize(("kind", "before", "channel", "asked"), CHANGES, ids=[kind for kind, *_ in CHANGES])
async def test_a_change_is_an_event_with_cause_and_actor(
    metadata: Metadata,
    fake_bus: Bus,
    fake_server: FakeServer,
    kind: str,
    before: Callable[[Bus], Any],
    channel: Any,
    asked: Any,
) -> None:
    await before(fake_bus)
    if before is joined:
        await until(lambda: metadata._nodes.known("n1"))
    command = Command.new("uid:7@host")
    await fake_bus.call(channel, asked, command=command)

    def found() -> list[Event]:
        return [one for one in events(fake_server) if f"{one.envelope.noun}.{one.envelope.action}" == kind]

    await until(found)
    (event,) = found()
    assert (event.envelope.cause, event.envelope.actor) == (command.id, "uid:7@host")
    assert event.body() is not None


def test_all_events_of_metadata_are_audited() -> None:
    """All but those by which nodes speak for themselves."""
    own = {f"{noun}.{action}" for (noun, action), one in cat.EVENTS.items() if one.owner.value == "metadata"}
    by_nodes = {"node.join", "node.up", "node.down", "node.admit", "node.refuse"}
    assert own - by_nodes <= {kind for kind, *_ in CHANGES}


async def test_a_node_that_comes_is_its_own_actor(metadata: Metadata, fake_bus: Bus, fake_server: FakeServer) -> None:
    await joined(fake_bus)
    await known(metadata)
    await until(lambda: events(fake_server))
    (event,) = events(fake_server)
    assert (event.envelope.action, event.envelope.actor) == ("join", "node:n1")


async def test_events_of_tokens_show_no_secret(metadata: Metadata, fake_bus: Bus, fake_server: FakeServer) -> None:
    made = await fake_bus.call(cat.CREATE_TOKEN, token(labels={"disk": "ssd"}, uses=3))
    await fake_bus.call(cat.ADMIT_NODE, request())
    await fake_bus.call(cat.REMOVE_TOKEN, TokenRef(id=made.id))
    await until(lambda: len(events(fake_server)) == 3)
    create, admit, remove = events(fake_server)
    body = create.body()
    assert isinstance(body, TokenEvent) and body.token == made.id
    assert body.attributes["uses"] == "3" and body.attributes["expires"].endswith("Z")
    assert body.attributes["label.disk"] == "ssd"
    assert (create.envelope.node, create.envelope.subject_id) == (CLUSTER, made.id)
    assert (admit.envelope.noun, remove.envelope.noun) == ("node", "token")
    for event in (create, admit, remove):
        assert not [word for word in (SECRET, hash_of(SECRET)) if word.encode() in event.data]


async def test_a_token_that_is_made_again_is_one_event(
    metadata: Metadata, fake_bus: Bus, other_bus: Bus, fake_server: FakeServer
) -> None:
    for bus in (fake_bus, other_bus):
        await bus.call(cat.CREATE_TOKEN, token())
    await fake_bus.transport.flush()
    assert [one.envelope.action for one in events(fake_server)] == ["create"]


async def test_a_node_label_with_the_name_of_a_secret_is_refused(metadata: Metadata, fake_bus: Bus) -> None:
    """Its value must be known to whoever places containers, so it can't be masked."""
    await joined(fake_bus)
    await until(lambda: metadata._nodes.known("n1"))
    with pytest.raises(SeawayError, match="has the name of a secret") as caught:
        await fake_bus.call(cat.UPDATE_NODE, UpdateNode(node="n1", labels={"db_password": "x"}))
    assert caught.value.code is Code.BAD_REQUEST
