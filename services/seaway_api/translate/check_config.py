"""What Docker refuses in the config part of a create body (moby 26.1: daemon/container.go). Pure."""

import posixpath
from typing import Final

from seaway_docker.errors import InvalidParameter
from seaway_docker.model_container import ContainerConfig, HealthConfig
from seaway_docker.signals import parse_signal

_LEAST_SPAN_NS: Final = 1_000_000
_MOST_ENTRIES: Final = 65_536


def check_config(config: ContainerConfig) -> None:
    """Raise InvalidParameter for a container config that can't be run anywhere."""
    if config.working_dir and not posixpath.isabs(config.working_dir):
        raise InvalidParameter(
            f"the working directory '{config.working_dir}' is invalid, it needs to be an absolute path"
        )
    for item in config.env or ():
        if not item or item.startswith("="):
            raise InvalidParameter(f"invalid environment variable: {item}")
    if config.stop_signal:
        parse_signal(config.stop_signal)
    if config.healthcheck is not None:
        _check_health(config.healthcheck)
    _check_text(config)


def _check_health(health: HealthConfig) -> None:
    spans = {
        "Interval": health.interval,
        "Timeout": health.timeout,
        "StartPeriod": health.start_period,
        "StartInterval": health.start_interval,
    }
    for name, span in spans.items():
        if span != 0 and span < _LEAST_SPAN_NS:
            raise InvalidParameter(f"{name} in Healthcheck cannot be less than 1ms")
    if health.retries < 0:
        raise InvalidParameter("Retries in Healthcheck cannot be negative")


def _check_text(config: ContainerConfig) -> None:
    """No NUL reaches a node, and no body holds more than a kernel or a record could."""
    texts = [*(config.env or ()), *(config.cmd or ()), *(config.entrypoint or ()), config.working_dir, config.user]
    if any("\0" in text for text in texts):
        raise InvalidParameter("command, environment, working directory and user must not hold NUL bytes")
    if len(texts) > _MOST_ENTRIES or len(config.labels or ()) > _MOST_ENTRIES:
        raise InvalidParameter(f"more than {_MOST_ENTRIES} arguments, variables or labels")
