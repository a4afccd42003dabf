"""The client's own words, kept and given back."""

from typing import Any

import orjson
import pytest

from seaway_api.translate.asked import asked_config, asked_host, asked_of
from seaway_contracts.containers import Asked
from seaway_docker.go_json import read_body
from seaway_docker.model_container import ContainerCreate
from seaway_testing import builders


def asked(**body: Any) -> Asked:
    return asked_of(read_body(ContainerCreate, {"Image": "x", **body}))


def test_who_says_nothing_special_leaves_nothing_to_keep() -> None:
    assert asked() == Asked()
    assert asked(Tty=True, HostConfig={"Memory": 0, "Binds": None, "LogConfig": {"Type": ""}}) == Asked()


@pytest.mark.parametrize(
    ("host", "kept"),
    [
        ({"Dns": []}, {"Dns": []}),
        ({"dns": ["1.1.1.1"]}, {"Dns": ["1.1.1.1"]}),
        ({"CapAdd": "KILL"}, {"CapAdd": ["KILL"]}),
        ({"Init": False}, {"Init": False}),
        ({"Unheard": 1}, None),
    ],
)
def test_null_and_empty_are_told_apart(host: dict[str, Any], kept: dict[str, Any] | None) -> None:
    text = asked(HostConfig=host).host_config
    assert (orjson.loads(text) if text else None) == kept


def test_a_container_from_before_has_zero_values() -> None:
    spec = builders.spec()
    assert asked_host(spec)["Binds"] is None and asked_host(spec)["ConsoleSize"] == [0, 0]
    assert asked_config(spec) == {}


def test_only_what_nothing_else_keeps_is_kept_of_config() -> None:
    text = asked(OnBuild=["RUN x"], Env=["A=1"], Shell=["sh"], Labels={"a": "b"}).config
    assert orjson.loads(text) == {"OnBuild": ["RUN x"], "Shell": ["sh"]}
