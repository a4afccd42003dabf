import pytest

from seaway_cli.permissions import USERS, nats_permissions
from seaway_contracts import catalogue


def covers(pattern: str, subject: str) -> bool:
    """Whether a NATS pattern matches a subject (which may hold `*` itself)."""
    ours, theirs = pattern.split("."), subject.split(".")
    for index, token in enumerate(ours):
        if token == ">":
            return len(theirs) > index
        if index >= len(theirs) or token not in ("*", theirs[index]):
            return False
    return len(ours) == len(theirs)


def may(service: str, subject: str, direction: str = "publish") -> bool:
    return any(covers(pattern, subject) for pattern in getattr(nats_permissions(service), direction))


@pytest.mark.parametrize("channel", catalogue.CALLS, ids=lambda channel: f"{channel.service}.{channel.name}")
def test_every_call_has_one_service_that_hears_it_and_somebody_who_asks(channel: object) -> None:
    subject = channel.template.wildcard()  # type: ignore[attr-defined]
    assert [user for user in USERS if may(user, subject, "subscribe")] == [channel.service]  # type: ignore[attr-defined]
    assert may("api", subject)


@pytest.mark.parametrize("words", catalogue.EVENTS)
def test_every_event_has_one_publisher_and_readers(words: tuple[str, str]) -> None:
    subject = catalogue.EVENTS[words].template.wildcard()
    assert len([user for user in USERS if may(user, subject)]) == 1
    assert may("api", subject, "subscribe")
    assert may("metadata", subject, "subscribe")


def test_only_the_agent_speaks_of_containers_and_beats() -> None:
    died = catalogue.CONTAINER_DIE.template.wildcard()
    beat = catalogue.BEAT.template.wildcard()
    assert [user for user in USERS if may(user, died)] == ["agent"]
    assert [user for user in USERS if may(user, beat)] == ["agent"]
    assert may("scheduler", beat, "subscribe")


def test_nobody_can_delete_the_events_but_metadata() -> None:
    name = catalogue.EVENT_STREAM.name
    for verb in ("DELETE", "PURGE", "UPDATE", "MSG.DELETE"):
        assert [user for user in USERS if may(user, f"$JS.API.STREAM.{verb}.{name}")] == ["metadata"]
    assert [user for user in USERS if may(user, "$KV.seaway_containers.x")] == ["metadata"]


def test_services_answer_and_can_be_asked_how_they_are() -> None:
    for service in catalogue.SERVICES:
        assert may(service, "_INBOX.abc.def")
        assert may(service, "$SRV.PING", "subscribe")
        assert may(service, f"$JS.API.CONSUMER.CREATE.{catalogue.EVENT_STREAM.name}")
    assert may("cli", "$SRV.PING.seaway-agent")
    assert not may("cli", "_INBOX.abc")


def test_nobody_may_do_everything() -> None:
    for user in USERS:
        for direction in ("publish", "subscribe"):
            assert not may(user, "$SYS.REQ.SERVER.PING", direction)
            assert ">" not in getattr(nats_permissions(user), direction)


def test_unknown_user() -> None:
    with pytest.raises(KeyError):
        nats_permissions("nobody")
