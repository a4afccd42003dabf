"""What is said beside a created container."""

from typing import Any

import pytest

from seaway_api.translate.warnings import create_warnings, endpoint_warnings
from seaway_docker.go_json import read_body
from seaway_docker.model_container import ContainerCreate

PORTS = {"80/tcp": [{"HostPort": "80"}]}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, []),
        ({"MacAddress": "02:42:ac:11:00:99"}, ["The container-wide MacAddress field is now deprecated."]),
        ({"HostConfig": {"OomKillDisable": True}}, ["OOM killer is disabled for the container, but no memory limit"]),
        ({"HostConfig": {"OomKillDisable": True, "Memory": 64 << 20}}, []),
        ({"HostConfig": {"CpuPercent": 5}}, ["linux does not support CPU percent. Percent discarded."]),
        ({"HostConfig": {"NetworkMode": "host", "PortBindings": PORTS}}, ["Published ports are discarded when using"]),
        ({"HostConfig": {"PortBindings": PORTS}}, []),
    ],
)
def test_warnings(body: dict[str, Any], said: list[str]) -> None:
    found = create_warnings(read_body(ContainerCreate, {"Image": "x", **body}), (1, 45))
    assert [text[: len(start)] for text, start in zip(found, said, strict=True)] == said


def test_older_clients_have_no_other_place_for_the_mac_address() -> None:
    body = read_body(ContainerCreate, {"Image": "x", "MacAddress": "02:42:ac:11:00:99"})
    assert create_warnings(body, (1, 43)) == []


def test_tcp_without_encryption_or_without_verification_is_warned_of_in_dockers_words() -> None:
    hosts = ["unix:///run/docker.sock", "tcp://127.0.0.1:2375", "tcp://[::1]:2376"]
    rest = (
        "\n         Access to the remote API is equivalent to root access on the host. Refer"
        "\n         to the 'Docker daemon attack surface' section in the documentation for"
        "\n         more information: https://docs.docker.com/go/attack-surface/"
    )
    assert endpoint_warnings(hosts, tls=False, verified=False) == [
        f"[DEPRECATION NOTICE]: API is accessible on http://127.0.0.1:2375 without encryption.{rest}",
        f"[DEPRECATION NOTICE]: API is accessible on http://[::1]:2376 without encryption.{rest}",
    ]
    assert endpoint_warnings(hosts[:2], tls=True, verified=False) == [
        f"[DEPRECATION NOTICE]: API is accessible on https://127.0.0.1:2375 without TLS client verification.{rest}"
    ]
    assert endpoint_warnings(hosts, tls=True, verified=True) == []
    assert endpoint_warnings(hosts[:1], tls=False, verified=False) == []
