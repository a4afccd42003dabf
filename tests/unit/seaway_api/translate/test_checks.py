"""What a create body is refused for, before anything is asked of anybody."""

from typing import Any

import pytest

from seaway_api.translate.checks import check_host
from seaway_docker.errors import InvalidParameter
from seaway_docker.go_json import read_body
from seaway_docker.model_host import HostConfig


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ({"DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}]}, "--gpus"),
        ({"Links": ["db:db"]}, "--link"),
        ({"ShmSize": -1}, "SHM size can not be less than 0"),
        ({"LogConfig": {"Type": "syslog"}}, "no log driver named 'syslog'"),
        ({"AutoRemove": True, "RestartPolicy": {"Name": "always"}}, "(?i)autoremove"),
        ({"CapAdd": ["FLY"]}, "unknown capability"),
        ({"Memory": 1024}, "Minimum memory limit allowed is 6MB"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_what_is_refused(host: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidParameter, match=text):
        check_host(read_body(HostConfig, host))


def test_a_plain_host_config_is_fine() -> None:
    check_host(read_body(HostConfig, {"Memory": 64 << 20, "CapDrop": ["ALL"], "Links": [], "DeviceRequests": []}))
