import pytest

from seaway_docker.event_filters import EventFacts, event_matches
from seaway_docker.filters import Filters

EXEC = EventFacts(
    "container", "exec_create: ls -l", "abcdef", {"name": "web", "image": "quay.io/a/web:1", "tier": "front"}
)
PULL = EventFacts("image", "pull", "busybox:latest", {"name": "busybox"})
PUSHED = "127.0.0.1:5000/cli/f"
PUSH = EventFacts("image", "push", f"{PUSHED}:1", {"name": f"{PUSHED}:1"})
TAG = EventFacts("image", "tag", "sha256:" + "a" * 64, {"name": f"{PUSHED}:1"})
CONNECT = EventFacts("network", "connect", "fedcba", {"name": "bridge", "container": "abcdef"})


@pytest.mark.parametrize(
    ("key", "value", "event", "expected"),
    [
        ("type", "container", EXEC, True),
        ("type", "image", EXEC, False),
        ("event", "exec_create", EXEC, True),
        ("event", "exec_create: ls -l", EXEC, True),
        ("event", "exec", EXEC, False),
        ("event", "pull", PULL, True),
        ("event", "pu", PULL, False),
        ("container", "abc", EXEC, True),
        ("container", "web", EXEC, True),
        ("container", "db", EXEC, False),
        ("container", "abc", CONNECT, False),
        ("network", "bridge", CONNECT, True),
        ("network", "fed", CONNECT, True),
        ("image", "quay.io/a/web:1", EXEC, True),
        ("image", "quay.io/a/web", EXEC, True),
        ("image", "web", EXEC, False),
        ("image", "busybox", PULL, True),
        ("image", "busybox:latest", PULL, True),
        ("image", f"{PUSHED}:1", PUSH, True),
        ("image", PUSHED, PUSH, True),
        ("image", "f", PUSH, False),
        ("image", "127.0.0.1", PUSH, False),
        ("image", f"{PUSHED}:1", TAG, True),
        ("image", PUSHED, TAG, True),
        ("image", "sha256:" + "a" * 64, TAG, True),
        ("image", f"{PUSHED}:2", TAG, False),
        ("label", "tier=front", EXEC, True),
        ("label", "tier=back", EXEC, False),
        ("scope", "local", EXEC, True),
        ("scope", "swarm", EXEC, False),
        ("node", "n1", EXEC, False),
        ("volume", "v", EXEC, False),
        ("zz", "a", EXEC, True),
    ],
)
def test_one_filter(key: str, value: str, event: EventFacts, expected: bool) -> None:
    assert event_matches(Filters({key: (value,)}), event) is expected


def test_health_status_is_a_prefix() -> None:
    event = EventFacts("container", "health_status: healthy", "abc")
    assert event_matches(Filters({"event": ("health_status",)}), event)
    assert not event_matches(Filters({"event": ("health_status: unhealthy",)}), event)


def test_no_filters_pass_everything() -> None:
    assert event_matches(Filters(), CONNECT)
