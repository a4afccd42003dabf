from typing import Any

import pytest

from seaway_cli.permissions import USERS, agent_user, nats_permissions, node_of, node_subjects
from seaway_contracts import catalogue
from seaway_contracts.channels import CallChannel, EventChannel, MessageChannel, Role
from seaway_contracts.ids import RESERVED_NODES
from seaway_testing.fake_server import matches

AGENTS = ("agent.n1", "agent.n2")
ALL = (*USERS, *AGENTS)
DIRECTIONS = ("publish", "subscribe")
AGENTS_EVENTS = [channel for channel in catalogue.EVENTS.values() if channel.owner is Role.AGENT]


def may(user: str, subject: str, direction: str = "publish") -> bool:
    return any(matches(pattern, subject) for pattern in getattr(nats_permissions(user), direction))


def publishers(subject: str) -> set[str]:
    return {user for user in ALL if may(user, subject)}


def hearers(subject: str) -> set[str]:
    return {user for user in ALL if may(user, subject, "subscribe")}


def users(*roles: Role) -> set[str]:
    """The users of these roles; of the agents the one of n1."""
    return {"agent.n1" if role is Role.AGENT else role.value for role in roles}


def subject_of(channel: CallChannel[Any, Any]) -> str:
    """Where it is asked: of the agent of n1, or by it."""
    return channel.subject("n1" if "node" in channel.template.fields else None)


def call_id(channel: CallChannel[Any, Any]) -> str:
    return f"{channel.service}.{channel.name}{'.from_nodes' if channel.from_nodes else ''}"


def event_id(channel: EventChannel[Any]) -> str:
    return f"{channel.noun}.{channel.action}"


@pytest.mark.parametrize("channel", catalogue.CALLS, ids=call_id)
def test_each_call_is_published_by_its_callers_and_heard_by_its_owner_alone(channel: CallChannel[Any, Any]) -> None:
    subject = subject_of(channel)
    to_itself = {"agent.n1"} if channel.to_node else set()  # an agent's words to itself stay in its own account
    assert channel.callers
    assert publishers(subject) == users(*channel.callers) | to_itself
    assert hearers(subject) == users(channel.owner)


@pytest.mark.parametrize("channel", catalogue.CALLS, ids=call_id)
def test_each_call_is_answered_by_its_owner_alone_to_each_caller(channel: CallChannel[Any, Any]) -> None:
    for role in channel.callers:
        if role in (Role.AGENT, Role.JOIN) and not channel.to_node:
            reply = "_R_.abc"  # what the server puts in the place of an inbox in another account
            assert may(channel.service, reply)
            assert {user for user in USERS if may(user, reply, "subscribe")} == set()
        elif channel.to_node:
            (user,) = users(role)
            reply = f"{catalogue.REPLY_UNDER.format(node='n1')}.{user}.abc.1"
            assert publishers(reply) == {"agent.n1"}
            assert hearers(reply) == {user}
        else:
            assert may(channel.service, f"_INBOX.{role.value}.abc.1")


def test_a_subscriber_asks_for_nodes_alone() -> None:
    """Records have what its owner keeps: environment, arguments, mounts."""
    asked = {call.name for call in catalogue.CALLS if "cli" in publishers(call.template.wildcard())}
    assert asked == {catalogue.LIST_NODES.name}


@pytest.mark.parametrize("channel", catalogue.EVENTS.values(), ids=event_id)
def test_each_event_is_published_by_metadata_alone(channel: EventChannel[Any]) -> None:
    subject = channel.subject("n1", "x")
    assert publishers(subject) == {"metadata"}, "whoever else could, could have its acknowledgement purge the stream"
    assert hearers(subject) == {"api", "metadata", "scheduler", "cli"}


@pytest.mark.parametrize("channel", AGENTS_EVENTS, ids=event_id)
def test_what_an_agent_tells_is_its_own_nodes_and_heard_by_who_judges_it(channel: EventChannel[Any]) -> None:
    subject = channel.told_subject("n1", "x")
    assert matches(catalogue.ALL_TOLD, subject) and not matches(catalogue.ALL_EVENTS, subject)
    assert publishers(subject) == {"agent.n1"}
    assert hearers(subject) == {"api", "metadata"}


@pytest.mark.parametrize("channel", catalogue.MESSAGES, ids=lambda channel: channel.name)
def test_each_message_is_published_by_its_owner_and_heard_by_its_hearers(channel: MessageChannel[Any]) -> None:
    subject = channel.subject(**dict.fromkeys(channel.template.fields, "n1"))
    assert publishers(subject) == users(channel.owner)
    heard = {user for user in AGENTS if Role.AGENT in channel.hearers}  # all nodes hear the same
    assert hearers(subject) == {role.value for role in channel.hearers - {Role.AGENT}} | heard


def test_streams_of_nodes_are_the_apis_and_the_agents() -> None:
    into, out = (catalogue.stream_subject("n1.s", way) for way in (catalogue.TO_SERVER, catalogue.FROM_SERVER))
    assert publishers(into) == {"api", "agent.n1"}  # the agent's words to itself stay in its own account
    assert hearers(into) == {"agent.n1"}
    assert publishers(out) == {"agent.n1"}
    assert hearers(out) == {"api"}


def test_streams_between_services_are_theirs() -> None:
    for way in (catalogue.TO_SERVER, catalogue.FROM_SERVER):
        subject = catalogue.stream_subject("s", way)
        assert publishers(subject) == hearers(subject) == {role.value for role in catalogue.SERVICE_STREAMS}


@pytest.mark.parametrize(("own", "other"), [("n1", "n2"), ("n2", "n1")])
def test_an_agent_speaks_under_its_own_nodes_subject_alone(own: str, other: str) -> None:
    allowed = nats_permissions(agent_user(own))
    subjects = node_subjects(own)
    assert set(allowed.publish) == {subjects.asks, subjects.tells, subjects.hears[0]}
    assert all(subject.startswith(f"seaway.v1.node.{own}.") for subject in allowed.publish)
    of_the_other = node_subjects(other)
    inbox = f"_INBOX.{agent_user(other)}.>"
    strangers = {of_the_other.asks, of_the_other.tells, of_the_other.hears[0], inbox, catalogue.ALL_EVENTS}
    replies = f"{catalogue.REPLY_UNDER.format(node=other)}.{agent_user(other)}.x"
    for pattern in {*strangers, replies, catalogue.ALL_TOLD, catalogue.BEAT.template.wildcard()}:
        subject = pattern.replace("*", other).replace(">", "x")
        assert not may(agent_user(own), subject)
        assert not may(agent_user(own), subject, "subscribe")


def test_an_agent_gives_no_orders_to_all_nodes() -> None:
    for agent in AGENTS:
        assert not may(agent, catalogue.IMAGES_DELETED.subject())


def test_agents_have_nothing_to_do_with_jetstream() -> None:
    name = catalogue.EVENT_STREAM.name
    event = catalogue.CONTAINER_DIE.subject("n1", "c")
    stored = (
        *(f"$JS.API.{call}.{name}" for call in ("STREAM.MSG.GET", "DIRECT.GET", "CONSUMER.CREATE", "STREAM.PURGE")),
        f"$JS.API.DIRECT.GET.{name}.{event}",
        f"$JS.ACK.{name}.c.1.1.1.1.1",
        f"$JS.FC.{name}.c.x",
        f"$KV.{catalogue.CONTAINERS_BUCKET.name}.x",
        "$JS.API.INFO",
    )
    for agent in AGENTS:
        for direction in DIRECTIONS:
            assert not [subject for subject in stored if may(agent, subject, direction)]
            assert not [one for one in getattr(nats_permissions(agent), direction) if one.startswith(("$JS", "$KV"))]


def test_nobody_can_delete_the_events_but_metadata() -> None:
    name = catalogue.EVENT_STREAM.name
    for verb in ("DELETE", "PURGE", "UPDATE", "MSG.DELETE"):
        assert publishers(f"$JS.API.STREAM.{verb}.{name}") == {"metadata"}
    assert publishers("$KV.seaway_containers.x") == {"metadata"}


def test_answers_come_to_an_inbox_that_nobody_else_hears() -> None:
    for user in ALL:
        assert hearers(f"_INBOX.{user}.abc.1") == {user}
    for agent in AGENTS:
        assert publishers(f"_INBOX.{agent}.abc.1") == set()
    answering = {call.service for call in catalogue.CALLS if call.from_nodes}
    assert publishers("_R_.abc") == answering == {"image", "metadata"}
    assert publishers("_INBOX.join.abc.1") == set()
    for user in sorted(set(USERS) - {"join"}):
        asked = {call.service for call in catalogue.CALLS if call.callers & {Role(user)} and not call.to_node}
        told = set(USERS) - {"cli", "join"} if user == "cli" else asked
        assert publishers(f"_INBOX.{user}.abc.1") == told


def test_services_can_be_asked_how_they_are() -> None:
    services = set(USERS) - {"cli", "join"}
    assert publishers("_INBOX.cli.abc") == services, "no agent, as that could write into anybody's inbox then"
    assert hearers("$SRV.PING") == services | set(AGENTS), "agents are asked in their own accounts alone"
    assert publishers("$SRV.PING") == {"cli", "api"}
    assert publishers("$SRV.PING.seaway-api") == publishers("$SRV.STATS") == {"cli"}
    for service in ("api", "metadata"):
        assert may(service, f"$JS.API.CONSUMER.CREATE.{catalogue.EVENT_STREAM.name}")


def test_nobody_may_do_everything() -> None:
    for user in ALL:
        for direction in DIRECTIONS:
            assert not may(user, "$SYS.REQ.SERVER.PING", direction)
            assert not {">", "_INBOX.>"} & set(getattr(nats_permissions(user), direction))


@pytest.mark.parametrize("user", ["nobody", "agent", "agent.", "agent.a.b", "agent.*", "agent.all", "agent.SEAWAY"])
def test_unknown_user(user: str) -> None:
    with pytest.raises(KeyError):
        nats_permissions(user)


def test_users_of_agents() -> None:
    assert node_of(agent_user("n1")) == "n1"
    assert node_of("api") == ""
    with pytest.raises(ValueError, match=r"no node may be called 'n\.1'"):
        agent_user("n.1")


@pytest.mark.parametrize("name", sorted(RESERVED_NODES))
def test_no_node_has_a_name_that_means_something_else(name: str) -> None:
    assert node_of(f"agent.{name}") == ""
    for made in (agent_user, node_subjects):
        with pytest.raises(ValueError, match=f"no node may be called '{name}': the name is reserved"):
            made(name)
