"""The client's own words of a create body: kept with the container, and given back by inspect. Pure.

So everything that was given comes back as it was given, null and empty told apart, whether anything uses it or not.
"""

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import orjson

from seaway_contracts.containers import Asked, ContainerSpec
from seaway_docker.go_json import read_body
from seaway_docker.model_container import ContainerCreate
from seaway_docker.model_host import HostConfig

_SHOWN_OF_CONFIG: Final = {"args_escaped", "exposed_ports", "network_disabled", "on_build", "shell"}


def asked_of(body: ContainerCreate) -> Asked:
    """What a body says, without what is default."""
    host = body.host_config.model_dump(by_alias=True, exclude_defaults=True)
    config = body.model_dump(by_alias=True, exclude_defaults=True, include=_SHOWN_OF_CONFIG)
    return Asked(host_config=_text(host), config=_text(config))


def _text(fields: dict[str, Any]) -> str:
    return orjson.dumps(fields).decode() if fields else ""


def asked_host(spec: ContainerSpec) -> Mapping[str, Any]:
    """The whole HostConfig as the client gave it, with Go's zero value for what it left out. Not to be changed: many
    containers are asked for in the same words.
    """
    return _whole_host(spec.asked.host_config)


@functools.lru_cache(maxsize=128)
def _whole_host(text: str) -> Mapping[str, Any]:
    shown = read_body(HostConfig, orjson.loads(text) if text else None).to_json_fields()
    return MappingProxyType(shown | {"ConsoleSize": [*(shown["ConsoleSize"] or ()), 0, 0][:2]})


def asked_config(spec: ContainerSpec) -> dict[str, Any]:
    """What the client said of Config that nothing else keeps."""
    return dict(orjson.loads(spec.asked.config)) if spec.asked.config else {}
