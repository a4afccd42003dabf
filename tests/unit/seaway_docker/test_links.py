"""Links between containers; the environment is what dockerd 26.1 gave for the same container."""

import pytest

from seaway_docker.errors import InvalidParameter
from seaway_docker.links import LinkedContainer, link_environment, parse_link
from seaway_docker.ports import parse_port


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("db", ("db", "db")),
        ("db:alias", ("db", "alias")),
        ("/db:/web/alias", ("db", "alias")),
        ("db:", ("db", "")),
    ],
)
def test_links(text: str, found: tuple[str, str]) -> None:
    assert parse_link(text) == found


@pytest.mark.parametrize(
    ("text", "reason"), [("", "empty string specified for links"), ("a:b:c", "bad format for links: a:b:c")]
)
def test_no_links(text: str, reason: str) -> None:
    with pytest.raises(InvalidParameter, match=reason):
        parse_link(text)


def linked(*ports: str, env: tuple[str, ...] = (), alias: str = "db") -> list[str]:
    there = tuple(parse_port(port) for port in ports)
    return link_environment(LinkedContainer("web", alias, "172.17.0.4", there, env))


def test_the_environment_of_a_link() -> None:
    assert linked("5432/tcp", "53/udp", env=("A=b c", "PATH=/bin", "HOME=/x", "BARE")) == [
        "DB_PORT=udp://172.17.0.4:53",
        "DB_PORT_53_UDP=udp://172.17.0.4:53",
        "DB_PORT_53_UDP_ADDR=172.17.0.4",
        "DB_PORT_53_UDP_PORT=53",
        "DB_PORT_53_UDP_PROTO=udp",
        "DB_PORT_5432_TCP=tcp://172.17.0.4:5432",
        "DB_PORT_5432_TCP_ADDR=172.17.0.4",
        "DB_PORT_5432_TCP_PORT=5432",
        "DB_PORT_5432_TCP_PROTO=tcp",
        "DB_NAME=/web/db",
        "DB_ENV_A=b c",
    ]


def test_ports_in_a_row_are_told_as_a_range_too() -> None:
    lines = linked("7001/tcp", "7000/tcp", "7002/tcp", "7002/udp")
    assert {
        "DB_PORT_7000_TCP_START=tcp://172.17.0.4:7000",
        "DB_PORT_7000_TCP_PORT_START=7000",
        "DB_PORT_7000_TCP_END=tcp://172.17.0.4:7002",
        "DB_PORT_7000_TCP_PORT_END=7002",
    } <= set(lines)
    assert not any("7002_UDP_PORT_START" in line for line in lines)


def test_without_ports_and_with_a_dash_in_the_alias() -> None:
    assert linked(alias="my-db") == ["MY_DB_NAME=/web/my-db"]
