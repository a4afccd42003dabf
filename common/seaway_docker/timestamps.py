"""Times as Docker writes and reads them. All values are int nanoseconds since the Unix epoch; spans are nanoseconds."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from seaway_docker.errors import InvalidParameter

ZERO_TIME = "0001-01-01T00:00:00Z"
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_SECOND = -62_135_596_800
_LAST_SECOND = 253_402_300_799
_LONGEST_INPUT = 128

_DATE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[Tt](\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?)?"
    r"(?:([Zz])|([+-])(\d\d):(\d\d))?",
    re.ASCII,
)
_UNIX = re.compile(r"([+-]?)(\d{1,18})(?:\.(\d{1,18}))?", re.ASCII)
_SPAN = re.compile(r"([+-]?)((?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)", re.ASCII)
_SPAN_PART = re.compile(r"(\d*)\.?(\d*)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": SECOND, "m": MINUTE, "h": HOUR}
_LONGEST_SPAN = 2**63 - 1


def parse_timestamp(text: str, now_ns: int) -> int:
    """A `since`, `until` or prune filter: Unix seconds with a fraction, RFC 3339 down to a bare date (UTC), or a Go
    duration that is counted back from `now_ns`. Raises InvalidParameter."""
    if text != "0" and (span := parse_duration(text)) is not None:
        return now_ns - span
    for moment in (_parse_unix(text), _parse_date(text)):
        if moment is not None:
            return moment
    raise InvalidParameter(f'failed to parse value as time or duration: "{text}"')


def parse_rfc3339nano(text: str) -> int:
    """Nanoseconds of `2026-01-02T03:04:05.123456789Z` (any offset). Raises InvalidParameter."""
    moment = _parse_date(text) if len(text) >= len("2006-01-02T15:04:05Z") else None
    if moment is None:
        raise InvalidParameter(f'parsing time "{text}": not an RFC 3339 timestamp')
    return moment


def rfc3339nano(ns: int) -> str:
    """UTC, with trailing zeros of the fraction cut as Go's RFC3339Nano does: `2026-01-02T03:04:05.1Z`."""
    seconds, fraction = divmod(ns, SECOND)
    if not fraction:
        return f"{_second_text(seconds)}Z"
    return f"{_second_text(seconds)}.{fraction:09d}".rstrip("0") + "Z"


def rfc3339nano_fixed(ns: int) -> str:
    """UTC with all nine digits, the form in front of log lines."""
    seconds, fraction = divmod(ns, SECOND)
    return f"{_second_text(seconds)}.{fraction:09d}Z"


def go_duration(span_ns: int) -> str:
    """A span of time as Go's Duration prints it: `500ms`, `1.5s`, `1m30s`, `2h0m0s`."""
    if span_ns < SECOND:
        for unit, name in ((1_000_000, "ms"), (1_000, "µs")):
            if span_ns >= unit:
                return f"{_decimal(span_ns, unit)}{name}"
        return f"{span_ns}ns" if span_ns else "0s"
    hours, rest = divmod(span_ns, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    seconds = f"{_decimal(rest, SECOND)}s"
    return f"{hours}h{minutes}m{seconds}" if hours else f"{minutes}m{seconds}" if minutes else seconds


def _decimal(value: int, unit: int) -> str:
    whole, part = divmod(value, unit)
    digits = f"{part:0{len(str(unit)) - 1}d}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def parse_duration(text: str) -> int | None:
    """A Go duration (`1h30m`, `-1.5s`, `300ms`, `0`) in nanoseconds, or None."""
    if text in ("0", "+0", "-0"):
        return 0
    found = _SPAN.fullmatch(text) if len(text) <= _LONGEST_INPUT else None
    if found is None:
        return None
    total = sum(_part_ns(whole, fraction, _UNITS[unit]) for whole, fraction, unit in _SPAN_PART.findall(found[2]))
    if total > _LONGEST_SPAN:
        return None
    return -total if found[1] == "-" else total


def _part_ns(whole: str, fraction: str, unit: int) -> int:
    return int(whole or "0") * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)


def _parse_unix(text: str) -> int | None:
    found = _UNIX.fullmatch(text)
    if found is None:
        return None
    sign, seconds, fraction = found.groups()
    whole = int(sign + seconds)
    # Go adds the fraction to the seconds, also to negative ones.
    return whole * SECOND + int((fraction or "0").ljust(9, "0")[:9])


def _parse_date(text: str) -> int | None:
    found = _DATE.fullmatch(text) if len(text) <= _LONGEST_INPUT else None
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or "0") for part in found.groups()[:6])
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    offset = 0
    if found[9]:
        offset = (int(found[10]) * 60 + int(found[11])) * (-60 if found[9] == "-" else 60)
    since_epoch = moment - _EPOCH
    fraction = int((found[7] or "0").ljust(9, "0")[:9])
    return (since_epoch.days * 86_400 + since_epoch.seconds - offset) * SECOND + fraction


@lru_cache(maxsize=1024)
def _second_text(seconds: int) -> str:
    """Clamped to the years 1 to 9999, which is what the format can hold."""
    clamped = min(max(seconds, _FIRST_SECOND), _LAST_SECOND)
    return (_EPOCH + timedelta(seconds=clamped)).isoformat()[:19]
