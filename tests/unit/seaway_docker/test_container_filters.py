from dataclasses import replace

import pytest

from seaway_docker.container_filters import ContainerFacts, container_query
from seaway_docker.errors import InvalidParameter
from seaway_docker.filters import Filters

WEB = ContainerFacts(
    id="abcdef012345",
    names=("web-1",),
    image_id="sha256:1",
    labels={"tier": "front"},
    state="running",
    started=True,
    created_ns=100,
    health="healthy",
    volumes=frozenset(("data", "/srv")),
    networks={"backend": "fedcba987654"},
    published=frozenset(("80/tcp",)),
    exposed=frozenset(("80/tcp", "443/tcp")),
)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("id", "abcd", True),
        ("id", "bcd", False),
        ("id", "", False),
        ("name", "web", True),
        ("name", "^/web-1$", True),
        ("name", "^web$", False),
        ("label", "tier=front", True),
        ("label", "tier=back", False),
        ("status", "running", True),
        ("status", "exited", False),
        ("health", "healthy", True),
        ("health", "none", False),
        ("volume", "data", True),
        ("volume", "/srv", True),
        ("volume", "dat", False),
        ("network", "backend", True),
        ("network", "fedc", True),
        ("network", "back", False),
        ("publish", "80", True),
        ("publish", "80/udp", False),
        ("publish", "70-90/tcp", True),
        ("publish", "443", False),
        ("expose", "443/tcp", True),
        ("expose", "1-79", False),
        ("is-task", "false", True),
        ("is-task", "true", False),
        ("exited", "0", False),
        ("isolation", "anything", True),
    ],
)
def test_one_filter(key: str, value: str, expected: bool) -> None:
    assert container_query(Filters({key: (value,)})).matches(WEB) is expected


def test_values_of_a_key_are_alternatives_and_keys_add_up() -> None:
    assert container_query(Filters({"status": ("exited", "running"), "name": ("web",)})).matches(WEB)
    assert not container_query(Filters({"status": ("exited", "running"), "name": ("db",)})).matches(WEB)


def test_exited_means_ended_after_a_start() -> None:
    query = container_query(Filters({"exited": ("0", "137")}))
    ended = replace(WEB, state="exited", exit_code=137)
    assert query.matches(ended)
    assert not query.matches(replace(ended, exit_code=1))
    assert not query.matches(replace(ended, state="created", exit_code=0, started=False))


def test_before_since_and_ancestor_are_resolved_by_the_caller() -> None:
    query = container_query(Filters({"before": ("a", "b"), "since": ("c",), "ancestor": ("busybox",)}))
    assert (query.before, query.since, query.ancestors, query.includes_stopped) == ("b", "c", ("busybox",), False)
    ids = frozenset(("sha256:1",))
    assert query.resolved(before_ns=101, since_ns=99, ancestor_ids=ids).matches(WEB)
    assert not query.resolved(before_ns=100, since_ns=99, ancestor_ids=ids).matches(WEB)
    assert not query.resolved(before_ns=101, since_ns=100, ancestor_ids=ids).matches(WEB)
    assert not query.resolved(before_ns=101, since_ns=99).matches(WEB)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("status", "zz", "invalid filter 'status=zz'"),
        ("exited", "x", "invalid filter 'exited=x': strconv.Atoi: parsing \"x\": invalid syntax"),
        ("health", "zz", "unrecognized filter value for health: zz"),
        ("is-task", "zz", "invalid filter 'is-task=[zz]'"),
        ("publish", "x", 'error while looking up for publish x: strconv.ParseUint: parsing "x": invalid syntax'),
        ("publish", "", "error while looking up for publish : Empty string specified for ports."),
        ("publish", "1:2", "filter for 'publish' should not contain ':': 1:2"),
        ("expose", "90-80", "error while looking up for expose 90-80: Invalid range specified for the Port: 90-80"),
    ],
)
def test_bad_values(key: str, value: str, message: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        container_query(Filters({key: (value,)}))
    assert str(caught.value) == message
