"""JSON progress lines of pull, push, load and build, and the media types of hijacked streams."""

from collections.abc import Mapping
from typing import Any

import orjson

RAW_STREAM = "application/vnd.docker.raw-stream"
MULTIPLEXED_STREAM = "application/vnd.docker.multiplexed-stream"
JSON_STREAM = "application/json"

_NEWLINE = b"\r\n"
_SIZE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
_BAR_WIDTH = 50


def stream_media_type(tty: bool) -> str:
    """The Content-Type of attach and logs, which tells clients whether frames follow."""
    return RAW_STREAM if tty else MULTIPLEXED_STREAM


def status_line(status: str, *, id: str | None = None) -> bytes:
    """`{"status":"Pulling from library/busybox","id":"latest"}`"""
    return _line({"status": status} if id is None else {"status": status, "id": id})


def progress_line(status: str, id: str, current: int = 0, total: int = 0) -> bytes:
    """A step of one layer, `current` and `total` in bytes; both 0 for a step without a measure (`Pull complete`)."""
    if current <= 0 and total <= 0:
        return _line({"status": status, "progressDetail": {}, "id": id})
    detail = {"current": current} if total <= 0 else {"current": current, "total": total}
    return _line({"status": status, "progressDetail": detail, "progress": progress_bar(current, total), "id": id})


def aux_line(aux: Mapping[str, Any]) -> bytes:
    """A result for programs, such as a push's `{"Tag":…,"Digest":…,"Size":…}`."""
    return _line({"progressDetail": {}, "aux": dict(aux)})


def stream_line(text: str) -> bytes:
    """Plain output of load and build: `{"stream":"Loaded image: busybox:latest\\n"}`"""
    return _line({"stream": text})


def error_line(message: str, code: int | None = None) -> bytes:
    """An error after the 200 has been sent; it ends the stream."""
    detail: dict[str, Any] = {"message": message} if code is None else {"code": code, "message": message}
    return _line({"errorDetail": detail, "error": message})


def progress_bar(current: int, total: int) -> str:
    """`[=====>     ]  1.2MB/5MB` as the daemon renders it for clients without a terminal of their own."""
    if total <= 0:
        return f"{human_size(current):>8}"
    done = min(int(current / total * 100) // 2, _BAR_WIDTH)
    counts = f"{human_size(current):>8}" + (f"/{human_size(total)}" if current <= total else "")
    return f"[{'=' * done}>{' ' * (_BAR_WIDTH - done)}] {counts}"


def human_size(size: int) -> str:
    """Decimal units with four significant digits, as Go's units.HumanSize: `4.262MB`."""
    value, unit = float(size), 0
    while value >= 1000 and unit < len(_SIZE_UNITS) - 1:
        value /= 1000
        unit += 1
    return f"{value:.4g}{_SIZE_UNITS[unit]}"


def _line(fields: dict[str, Any]) -> bytes:
    return orjson.dumps(fields) + _NEWLINE
