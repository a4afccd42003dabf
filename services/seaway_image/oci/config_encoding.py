"""Image configs as JSON (OCI image spec, config.md), for images that are made here. Pure."""

import json
from collections.abc import Sequence
from typing import Any

from seaway_contracts.images import FormerContainer, Healthcheck, History, ImageConfig
from seaway_contracts.version import VERSION
from seaway_image.oci.configs import format_time
from seaway_image.oci.digests import Digest
from seaway_image.oci.platforms import Platform


def encode_config(
    *,
    platform: Platform,
    created_ns: int,
    config: ImageConfig,
    diff_ids: Sequence[Digest],
    history: Sequence[History],
    author: str = "",
    comment: str = "",
) -> bytes:
    """The image config; `diff_ids` from the base up, `created_ns` in Unix nanoseconds."""
    document: dict[str, Any] = {
        "architecture": platform.architecture,
        "os": platform.os,
        "created": format_time(created_ns),
        "config": encode_run_config(config),
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
        "history": [_history(step) for step in history],
        "docker_version": VERSION,
    }
    named = {"variant": platform.variant, "author": author, "comment": comment}
    document |= {key: text for key, text in named.items() if text}
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def encode_run_config(config: ImageConfig) -> dict[str, Any]:
    """The `config` object, without its empty fields."""
    document: dict[str, Any] = {
        "User": config.user,
        "ExposedPorts": {port: {} for port in config.exposed_ports},
        "Env": list(config.env),
        "Entrypoint": None if config.entrypoint is None else list(config.entrypoint),
        "Cmd": None if config.cmd is None else list(config.cmd),
        "Volumes": {path: {} for path in config.volumes},
        "WorkingDir": config.workdir,
        "Labels": config.labels,
        "StopSignal": config.stop_signal,
        "Shell": None if config.shell is None else list(config.shell),
        "Healthcheck": _healthcheck(config.healthcheck),
        "OnBuild": list(config.on_build),
        "ArgsEscaped": config.args_escaped,
        **(_former(config.former) if config.former else {}),
    }
    return {key: value for key, value in document.items() if value}


def _former(former: FormerContainer) -> dict[str, Any]:
    """Docker's names for it; without the container's host and image, which are nobody's business."""
    return {
        "AttachStdin": former.attach_stdin,
        "AttachStdout": former.attach_stdout,
        "AttachStderr": former.attach_stderr,
        "Tty": former.tty,
        "OpenStdin": former.open_stdin,
        "StdinOnce": former.stdin_once,
    }


def _healthcheck(check: Healthcheck | None) -> dict[str, Any] | None:
    if check is None:
        return None
    document = {
        "Test": list(check.test),
        "Interval": check.interval_ns,
        "Timeout": check.timeout_ns,
        "StartPeriod": check.start_period_ns,
        "StartInterval": check.start_interval_ns,
        "Retries": check.retries,
    }
    return {key: value for key, value in document.items() if value}


def _history(step: History) -> dict[str, Any]:
    document = {
        "created": format_time(step.created_ns),
        "created_by": step.created_by,
        "author": step.author,
        "comment": step.comment,
        "empty_layer": step.empty_layer,
    }
    return {key: value for key, value in document.items() if value}
