"""What is said beside a created container."""

from typing import Any

import pytest

from seaway_api.translate.warnings import create_warnings
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
