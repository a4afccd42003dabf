"""Image configs (OCI image spec, config.md; Docker image spec v1.2): checked into a typed model, and made. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from seaway_contracts.errors import SeawayError, bad_request
from seaway_contracts.images import FormerContainer, Healthcheck, History, ImageConfig
from seaway_image.oci.digests import Digest, digest_of, parse_digest
from seaway_image.oci.documents import MAX_CONFIG, parse_document
from seaway_image.oci.manifests import MAX_LAYERS
from seaway_image.oci.platforms import Platform, normal_platform

MAX_ENV: Final = 4096
MAX_LABELS: Final = 4096
MAX_LIST: Final = 4096
MAX_TEXT: Final = 128 << 10  # the kernel's bound for one argument or variable
MAX_ID: Final = 2**31 - 1
MIN_PROBE_NS: Final = 1_000_000

_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PORT: Final = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.IGNORECASE)
_OPEN_FILES: Final = re.compile(r"/+proc/+[^/]+/+(?:task/+[^/]+/+)?fd(?:/|$)")


@dataclass(frozen=True)
class ImageDocument:
    """An image config as stored. `id` is its digest; times in Unix nanoseconds; `diff_ids` from the base up."""

    id: Digest
    platform: Platform
    created_ns: int
    author: str
    comment: str
    config: ImageConfig
    diff_ids: tuple[Digest, ...]
    history: tuple[History, ...]
    docker_version: str = ""
    variant: str = ""
    """As it is written; in `platform` it is in normal form."""


def parse_config(data: bytes) -> ImageDocument:
    """The image config in `data`; raises SeawayError(BAD_REQUEST or TOO_LARGE), naming the field that is wrong."""
    document = parse_document(data, "image config", limit=MAX_CONFIG)
    rootfs = _typed(document, "rootfs", dict) or {}
    diff_ids = _list(rootfs, "diff_ids", MAX_LAYERS)
    history = tuple(_history(step) for step in _list(document, "history", MAX_LIST))
    filled = sum(not step.empty_layer for step in history)
    if history and filled != len(diff_ids):
        raise bad_request(f"image config: history tells of {filled} layers, rootfs of {len(diff_ids)}")
    return ImageDocument(
        id=digest_of(data),
        platform=normal_platform(
            _text(document, "os") or "linux", _text(document, "architecture") or "amd64", _text(document, "variant")
        ),
        created_ns=parse_time(_text(document, "created")),
        author=_text(document, "author"),
        comment=_text(document, "comment"),
        config=parse_run_config(_typed(document, "config", dict) or {}),
        diff_ids=tuple(_digest(item) for item in diff_ids),
        history=history,
        docker_version=_text(document, "docker_version"),
        variant=_text(document, "variant"),
    )


def _digest(value: Any) -> Digest:
    try:
        return parse_digest(value)
    except SeawayError as error:
        raise bad_request(f"image config: rootfs.diff_ids: {error.message}") from None


def _history(value: Any) -> History:
    if not isinstance(value, dict):
        raise bad_request("image config: a history entry is no object")
    return History(
        created_ns=parse_time(_text(value, "created")),
        created_by=_text(value, "created_by"),
        comment=_text(value, "comment"),
        author=_text(value, "author"),
        empty_layer=bool(_typed(value, "empty_layer", bool)),
    )


def parse_run_config(value: dict[str, Any]) -> ImageConfig:
    """The `config` object: what to run and how; raises SeawayError(BAD_REQUEST), naming the field."""
    return ImageConfig(
        env=_checked(value, "Env", check_env, MAX_ENV),
        entrypoint=_command(value, "Entrypoint"),
        cmd=_command(value, "Cmd"),
        workdir=check_workdir(_text(value, "WorkingDir")),
        user=check_user(_text(value, "User")),
        labels=_labels(value),
        exposed_ports=tuple(sorted({check_port(port) for port in _keys(value, "ExposedPorts")})),
        volumes=tuple(sorted({check_volume(path) for path in _keys(value, "Volumes")})),
        stop_signal=check_line(_text(value, "StopSignal"), "StopSignal"),
        shell=_command(value, "Shell"),
        healthcheck=_healthcheck(_typed(value, "Healthcheck", dict)),
        on_build=_checked(value, "OnBuild", lambda text: check_line(text, "OnBuild"), MAX_LIST),
        args_escaped=bool(_typed(value, "ArgsEscaped", bool)),
        former=_former(value),
    )


def _former(value: dict[str, Any]) -> FormerContainer | None:
    found = FormerContainer(
        hostname=_text(value, "Hostname"),
        domainname=_text(value, "Domainname"),
        attach_stdin=bool(_typed(value, "AttachStdin", bool)),
        attach_stdout=bool(_typed(value, "AttachStdout", bool)),
        attach_stderr=bool(_typed(value, "AttachStderr", bool)),
        tty=bool(_typed(value, "Tty", bool)),
        open_stdin=bool(_typed(value, "OpenStdin", bool)),
        stdin_once=bool(_typed(value, "StdinOnce", bool)),
        image=_text(value, "Image"),
    )
    return found if found != FormerContainer() else None


def _typed(value: dict[str, Any], key: str, kind: type) -> Any:
    found = value.get(key)
    if found is not None and not isinstance(found, kind):
        raise bad_request(f"image config: {key} is of the wrong kind")
    return found


def _text(value: dict[str, Any], key: str) -> str:
    return check_text(_typed(value, key, str) or "", key)


def _list(value: dict[str, Any], key: str, limit: int) -> list[Any]:
    found = _typed(value, key, list) or []
    if len(found) > limit:
        raise bad_request(f"image config: {len(found)} entries in {key}, more than the {limit} allowed")
    return list(found)


def _checked(value: dict[str, Any], key: str, check: Callable[[str], str], limit: int) -> tuple[str, ...]:
    items = _list(value, key, limit)
    if not all(isinstance(item, str) for item in items):
        raise bad_request(f"image config: {key} must hold texts")
    return tuple(check(check_text(item, key)) for item in items)


def _command(value: dict[str, Any], key: str) -> tuple[str, ...] | None:
    return _checked(value, key, lambda text: text, MAX_LIST) if value.get(key) is not None else None


def _keys(value: dict[str, Any], key: str) -> list[str]:
    found = _typed(value, key, dict) or {}
    if len(found) > MAX_LIST:
        raise bad_request(f"image config: {len(found)} entries in {key}, more than the {MAX_LIST} allowed")
    return list(found)


def _labels(value: dict[str, Any]) -> dict[str, str]:
    labels = _typed(value, "Labels", dict) or {}
    if len(labels) > MAX_LABELS:
        raise bad_request(f"image config: {len(labels)} labels, more than the {MAX_LABELS} allowed")
    for name, text in labels.items():
        if not isinstance(text, str):
            raise bad_request(f"image config: label {name[:100]!r} is no text")
        check_text(name, "Labels")
        check_text(text, f"label {name[:100]!r}")
    return dict(labels)


def _healthcheck(value: dict[str, Any] | None) -> Healthcheck | None:
    if value is None:
        return None
    times = {key: _duration(value, key) for key in ("Interval", "Timeout", "StartPeriod", "StartInterval")}
    retries = _typed(value, "Retries", int) or 0
    if retries < 0:
        raise bad_request("image config: Retries in Healthcheck cannot be negative")
    return Healthcheck(
        test=_command(value, "Test") or (),
        interval_ns=times["Interval"],
        timeout_ns=times["Timeout"],
        start_period_ns=times["StartPeriod"],
        start_interval_ns=times["StartInterval"],
        retries=min(retries, MAX_ID),
    )


def _duration(value: dict[str, Any], key: str) -> int:
    found: int = _typed(value, key, int) or 0
    if found != 0 and not MIN_PROBE_NS <= found < 2**63:
        raise bad_request(f"{key} in Healthcheck cannot be less than 1ms")
    return found


def check_text(text: str, what: str) -> str:
    """No NUL, and not longer than the kernel takes."""
    if "\0" in text:
        raise bad_request(f"image config: {what} contains a NUL")
    if len(text) > MAX_TEXT:
        raise bad_request(f"image config: {what} is longer than {MAX_TEXT} characters")
    return text


def check_line(text: str, what: str) -> str:
    """One line of text."""
    if any(sign in check_text(text, what) for sign in "\r\n"):
        raise bad_request(f"image config: {what} contains a line break")
    return text


def check_env(text: str) -> str:
    """`NAME=value`; the value may hold line breaks, the name may not."""
    name, _, _ = text.partition("=")
    check_line(name, "a name in Env")
    if not name:
        raise bad_request(f"image config: invalid environment variable: {text[:100]}")
    return text


def check_workdir(text: str) -> str:
    """A directory; not one of a process's open files, which might lie outside the container (CVE-2024-21626)."""
    check_line(text, "WorkingDir")
    if _OPEN_FILES.match(text):
        raise bad_request(f"image config: WorkingDir {text[:100]} would reach through an open file of the engine")
    return text


def check_user(text: str) -> str:
    """`user`, `uid`, each with an optional `:group`; numbers from 0 to 2147483647."""
    check_line(text, "User")
    for part in text.split(":", 1):
        number = part[1:] if part[:1] in ("-", "+") else part
        if number.isdigit() and not (number == part and len(part) <= 10 and int(part) <= MAX_ID):
            raise bad_request(f"image config: User {text[:100]}: uids and gids must be in range 0-{MAX_ID}")
    return text


def check_volume(text: str) -> str:
    """A mount point; raises SeawayError(BAD_REQUEST) for a path that climbs with `..` or is empty."""
    check_line(check_text(text, "Volumes"), "Volumes")
    if not text.strip("/") or ".." in text.split("/"):
        raise bad_request(f"image config: invalid volume specification: {text[:100]!r}")
    return text


def check_port(text: str) -> str:
    """`port[-port][/proto]` in the form `80/tcp`."""
    found = _PORT.fullmatch(text)
    low, high = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if found is None or not 0 < low <= high <= 65535:
        raise bad_request(f"image config: invalid port in ExposedPorts: {text[:100]!r}")
    span = str(low) if found[2] is None else f"{low}-{high}"
    return f"{span}/{(found[3] or 'tcp').lower()}"


def parse_time(text: str) -> int:
    """RFC 3339 to Unix nanoseconds; empty is 0, and so is anything before 1970 (Go's zero time)."""
    if not text:
        return 0
    found = _TIME.fullmatch(text)
    try:
        if found is None:
            raise ValueError(text)
        whole = datetime.fromisoformat(found[1] + found[3].replace("Z", "+00:00"))
        seconds = (whole - _EPOCH) // timedelta(seconds=1)
    except (ValueError, OverflowError):
        raise bad_request(f"image config: {text[:60]!r} is no RFC 3339 time") from None
    return max(0, seconds * 10**9 + int((found[2] or "0").ljust(9, "0")))


def format_time(time_ns: int) -> str:
    """Unix nanoseconds to RFC 3339 in UTC, with all nine digits."""
    whole = _EPOCH + timedelta(seconds=time_ns // 10**9)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{time_ns % 10**9:09d}Z"
