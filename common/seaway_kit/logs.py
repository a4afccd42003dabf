"""Logs to stderr: readable lines or JSON lines, one per record, with the ids of the span in hand."""

import json
import logging
import sys
import time
from typing import Literal

from seaway_kit import tracing

LogFormat = Literal["auto", "text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

_LEVELS = {logging.WARNING: "WARN", logging.CRITICAL: "FATAL"}


def _timestamp(created: float) -> str:
    seconds, millis = divmod(int(created * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{millis:03}Z"


def _one_line(text: str) -> str:
    """`text` in one line, so that names or messages from outside can't forge a line."""
    return text.replace("\r", "\\r").replace("\n", "\\n")


class TextFormatter(logging.Formatter):
    """`2026-01-01T00:00:00.123Z INFO  agent: message`; a traceback follows on lines of its own.

    Where there is a span in hand, the message is followed by ` trace_id=… span_id=…`.
    """

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        level = _LEVELS.get(record.levelno, record.levelname)
        ids = "".join(f" {name}={value}" for name, value in _ids().items())
        line = f"{_timestamp(record.created)} {level:<5} {self._service}: {_one_line(record.getMessage())}{ids}"
        if record.exc_info and record.exc_info[0] is not None:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, service, logger, message; where they are there, the span's ids, the
    traceback.
    """

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": _timestamp(record.created),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        } | _ids()
        if record.exc_info and record.exc_info[0] is not None:
            fields["error"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


def _ids() -> dict[str, str]:
    """The ids of the span in hand, by the names that OpenTelemetry gives them in logs."""
    span = tracing.current() if tracing.on() else None
    return {"trace_id": span.context.trace_id, "span_id": span.context.span_id} if span is not None else {}


def as_text(line: str) -> str:
    """A line of a log file as `TextFormatter` would have written it; one that isn't a JSON log line stays as it is."""
    try:
        fields = json.loads(line)
        level = logging.getLevelNamesMapping()[fields["level"].upper()]
        text = f"{fields['time']} {_LEVELS.get(level, fields['level'].upper()):<5} {fields['service']}: "
        text += _one_line(fields["message"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return line
    text += "".join(f" {name}={fields[name]}" for name in ("trace_id", "span_id") if name in fields)
    return f"{text}\n{fields['error']}" if "error" in fields else text


def configure(service: str, *, level: LogLevel = "info", form: LogFormat = "auto") -> None:
    """Write records at `level` and above to stderr, in place of any earlier logging.

    `auto` is text on a terminal and JSON elsewhere.
    """
    handler = logging.StreamHandler(sys.stderr)
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    handler.setFormatter(JsonFormatter(service) if as_json else TextFormatter(service))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.captureWarnings(True)
