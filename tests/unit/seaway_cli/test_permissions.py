from typing import Any

import pytest

from seaway_cli.permissions import USERS, agent_user, nats_permissions, node_of
from seaway_contracts import catalogue
from seaway_contracts.channels import CallChannel
from seaway_contracts.ids import BadToken
from seaway_testing.subjects import matches

Channel = CallChannel[Any, Any]


def may(service: str, subject: str, direction: str = "publish") -> bool:
    return any(matches(pattern, subject) for pattern in getattr(nats_permissions(service), direction))


AGENTS = ("agent.n1", "agent.n2")
ALL = (*USERS, *AGENTS)


@pytest.mark.parametrize("channel", catalogue.CALLS, ids=lambda channel: f"{channel.service}.{channel.name}")
def test_every_call_has_one_service_that_hears_it_and_somebody_who_asks(channel: Channel) -> None:
    tokens = {"node": "n1"} if channel.per_node else {}
    subject = channel.template.subject(**tokens)
    expected = "agent.n1" if channel.per_node else channel.service
    assert [user for user in ALL if may(user, subject, "subscribe")] == [expected]
    assert may("api", subject)
    assert not may("agent.n2", subject) or channel in (catalogue.BLOB_ENDPOINT, catalogue.LIST_IMAGES)


@pytest.mark.parametrize("words", catalogue.EVENTS)
def test_every_event_has_one_publisher_and_readers(words: tuple[str, str]) -> None:
    subject = catalogue.EVENTS[words].template.subject(node="n1", id="x")
    assert len([user for user in ALL if may(user, subject)]) == 1
    assert may("api", subject, "subscribe")
    assert may("metadata", subject, "subscribe")


def test_an_agent_speaks_and_hears_for_its_own_node() -> None:
    out, into = (catalogue.NODE_STREAM_TEMPLATE.subject(node="n1", stream="s", direction=way) for way in ("out", "in"))
    lines = catalogue.LOG_LINES.template.subject(node="n1", id="c")
    spoken = (catalogue.CONTAINER_DIE.template.subject(node="n1", id="c"), catalogue.BEAT.subject("n1"), out, lines)
    for subject in spoken:
        assert [user for user in AGENTS if may(user, subject)] == ["agent.n1"]
    heard = (catalogue.START.subject("n1"), into, "_INBOX.agent.n1.x.1")
    for subject in heard:
        assert [user for user in AGENTS if may(user, subject, "subscribe")] == ["agent.n1"]
    assert not may("agent.n1", into) and not may("agent.n1", out, "subscribe")
    for agent in AGENTS:
        for subject in (catalogue.STREAM_TEMPLATE.wildcard(), catalogue.ALL_EVENTS, catalogue.BEAT.template.wildcard()):
            assert not may(agent, subject, "subscribe")
    assert may("scheduler", catalogue.BEAT.template.wildcard(), "subscribe")


def test_an_agent_reads_only_what_it_has_stored() -> None:
    name = catalogue.EVENT_STREAM.name
    got = f"$JS.API.DIRECT.GET.{name}.seaway.v1.event.n1.container.die.c"
    assert [user for user in AGENTS if may(user, got)] == ["agent.n1"]
    for call in ("STREAM.MSG.GET", "DIRECT.GET", "CONSUMER.CREATE", "STREAM.CREATE", "STREAM.INFO"):
        assert not may("agent.n1", f"$JS.API.{call}.{name}")


def test_nobody_can_delete_the_events_but_metadata() -> None:
    name = catalogue.EVENT_STREAM.name
    for verb in ("DELETE", "PURGE", "UPDATE", "MSG.DELETE"):
        assert [user for user in ALL if may(user, f"$JS.API.STREAM.{verb}.{name}")] == ["metadata"]
    assert [user for user in ALL if may(user, "$KV.seaway_containers.x")] == ["metadata"]


def test_answers_come_to_an_inbox_that_nobody_else_hears() -> None:
    for user in ALL:
        inbox = f"_INBOX.{user}.abc.1"
        assert [other for other in ALL if may(other, inbox, "subscribe")] == [user]
    for channel, user in ((catalogue.INVENTORY, "metadata"), (catalogue.START, "api"), (catalogue.PLACE, "api")):
        server = "agent.n1" if channel.per_node else channel.service
        assert may(server, f"_INBOX.{user}.abc.1")
    for service in (*USERS, "agent.n1"):
        assert not may(service, "_INBOX.agent.n2.abc.1")
        assert may(service, "_R_.abc") == (service == "image")
    assert not may("cli", "_INBOX.api.abc.1")


def test_services_can_be_asked_how_they_are() -> None:
    for user in ALL:
        if user != "cli":
            assert may(user, "_INBOX.cli.abc")
            assert may(user, "$SRV.PING", "subscribe")
    for service in ("api", "metadata"):
        assert may(service, f"$JS.API.CONSUMER.CREATE.{catalogue.EVENT_STREAM.name}")
    assert may("cli", "$SRV.PING.seaway-agent")


def test_nobody_may_do_everything() -> None:
    for user in ALL:
        for direction in ("publish", "subscribe"):
            assert not may(user, "$SYS.REQ.SERVER.PING", direction)
            assert not {">", "_INBOX.>"} & set(getattr(nats_permissions(user), direction))


@pytest.mark.parametrize("user", ["nobody", "agent", "agent.", "agent.a.b", "agent.*"])
def test_unknown_user(user: str) -> None:
    with pytest.raises(KeyError):
        nats_permissions(user)


def test_users_of_agents() -> None:
    assert node_of(agent_user("n1")) == "n1"
    assert node_of("api") == ""
    with pytest.raises(BadToken):
        agent_user("n.1")
