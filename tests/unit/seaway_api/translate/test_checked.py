"""What is refused of a container's own config."""

from typing import Any

import pytest

from seaway_api.translate.checked import check_config
from seaway_docker.errors import InvalidParameter
from seaway_docker.go_json import read_body
from seaway_docker.model_container import ContainerConfig


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"WorkingDir": "x"}, "the working directory 'x' is invalid, it needs to be an absolute path"),
        ({"Env": [""]}, "invalid environment variable: "),
        ({"Env": ["=x"]}, "invalid environment variable: =x"),
        ({"StopSignal": "FOO"}, "FOO"),
        ({"Healthcheck": {"Interval": 1}}, "Interval in Healthcheck cannot be less than 1ms"),
        ({"Healthcheck": {"Timeout": -1}}, "Timeout in Healthcheck cannot be less than 1ms"),
        ({"Healthcheck": {"StartInterval": 5}}, "StartInterval in Healthcheck cannot be less than 1ms"),
        ({"Healthcheck": {"Retries": -1}}, "Retries in Healthcheck cannot be negative"),
        ({"User": "a\0"}, "NUL"),
    ],
)
def test_refusals(config: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        check_config(read_body(ContainerConfig, config))
    assert text in str(refused.value)


@pytest.mark.parametrize(
    "config",
    [{}, {"Env": ["A=1", "B"]}, {"StopTimeout": -1}, {"Healthcheck": {"Test": ["FOO"]}}, {"StopSignal": "9"}],
)
def test_what_is_taken(config: dict[str, Any]) -> None:
    check_config(read_body(ContainerConfig, config))
