"""Log drivers and their options, in Docker's words (moby 26.1: daemon/logger). Pure.

Docker checks the names of options at create and their values at start; here both are checked at create, so that a
container that could never start is not made.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote_plus

from seaway_docker.errors import InvalidParameter

DEFAULT_DRIVER: Final = "json-file"
DRIVERS: Final = ("json-file", "local", "none", "nats")
_FOR_ALL: Final = frozenset(
    ("mode", "max-buffer-size", "cache-disabled", "cache-max-size", "cache-max-file", "cache-compress")
)
_ROTATION: Final = frozenset(("max-size", "max-file", "compress"))
_ATTRIBUTES: Final = frozenset(("labels", "labels-regex", "env", "env-regex", "tag"))
_KNOWN: Final = {
    "json-file": _ROTATION | _ATTRIBUTES,
    "local": _ROTATION,
    "nats": _ROTATION | _ATTRIBUTES,
}
_LOCAL_SIZE: Final = 20 << 20
_LOCAL_FILES: Final = 5
_TRUE: Final = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE: Final = frozenset(("0", "f", "F", "FALSE", "false", "False"))
_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kmgtp]?)i?b?", re.IGNORECASE)
_ACTION: Final = re.compile(r"{{-?\s*(.*?)\s*-?}}", re.DOTALL)
_FAILED: Final = "failed to initialize logging driver: "


_OF_DOCKER: Final = frozenset(("awslogs", "etwlogs", "fluentd", "gcplogs", "gelf", "journald", "splunk", "syslog"))


@dataclass(frozen=True)
class LogPolicy:
    """How a container's log is kept: files of about `max_size` bytes (0: one that grows), at most `max_files`."""

    max_size: int = 0
    max_files: int = 1
    compress: bool = False


@dataclass(frozen=True)
class TagFacts:
    """What a tag can be made of. `image_id` with its `sha256:`."""

    id: str
    name: str
    image_id: str
    image: str
    daemon: str = "docker"


def check(driver: str, options: Mapping[str, str]) -> None:
    """Raise InvalidParameter for a driver that isn't there, or an option that it doesn't take. "" is the default."""
    driver = driver or DEFAULT_DRIVER
    if driver not in DRIVERS:
        raise InvalidParameter(_missing(driver))
    if driver == "none":
        return
    _check_common(options)
    for name in sorted(options.keys() - _FOR_ALL - _KNOWN[driver]):
        where = f"log driver {driver}" if driver == "local" else f"{driver} log driver"
        raise InvalidParameter(f"unknown log opt '{name}' for {where}")
    policy(driver, options)
    for name in ("labels-regex", "env-regex"):
        _pattern(options.get(name, ""))
    _tag(options.get("tag", ""), TagFacts("", "", "", ""))


def _missing(driver: str) -> str:
    """What Docker says of one that isn't built in: another name may be a plugin's."""
    if driver in _OF_DOCKER:
        return f"logger: no log driver named '{driver}' is registered"
    return f'error looking up logging plugin {driver}: plugin "{driver}" not found'


def _check_common(options: Mapping[str, str]) -> None:
    mode = options.get("mode", "")
    if mode not in ("", "blocking", "non-blocking"):
        raise InvalidParameter(f"logger: logging mode not supported: {mode}")
    if "max-buffer-size" in options:
        if mode != "non-blocking":
            raise InvalidParameter("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
        try:
            parse_size(options["max-buffer-size"], 1024)
        except ValueError as error:
            raise InvalidParameter(f"error parsing option max-buffer-size: {error}") from None
    disabled = options.get("cache-disabled")
    if disabled is not None and disabled not in _TRUE | _FALSE:
        raise InvalidParameter(f"invalid value for option cache-disabled: {disabled}")


def policy(driver: str, options: Mapping[str, str]) -> LogPolicy:
    """The container's policy. Raises InvalidParameter with the sentence that Docker has at start."""
    local = driver == "local"
    try:
        size = _max_size(options, local=local)
        files = int(_number(options.get("max-file", str(_LOCAL_FILES if local else 1))))
        compress = _boolean(options.get("compress", "true" if local else "false"))
    except ValueError as error:
        raise InvalidParameter(f"{_FAILED}{error}") from None
    if files < 1 and not local:
        raise InvalidParameter(f"{_FAILED}max-file cannot be less than 1")
    if compress and (files < 2 or not size):
        text = (
            "compression cannot be enabled when max file count is 1"
            if local
            else "compress cannot be true when max-file is less than 2 or max-size is not set"
        )
        raise InvalidParameter(f"{_FAILED}{text}")
    return LogPolicy(size, max(files, 1), compress)


def _max_size(options: Mapping[str, str], *, local: bool) -> int:
    if "max-size" not in options:
        return _LOCAL_SIZE if local else 0
    try:
        size = parse_size(options["max-size"], 1000)
    except ValueError as error:
        raise ValueError(f"invalid value for max-size: {options['max-size']}: {error}" if local else error) from None
    if size <= 0:
        raise ValueError("max-size must be a positive number")
    return size


def parse_size(text: str, base: int) -> int:
    """`10m` in bytes; a unit is so many times `base`. Raises ValueError with go-units' sentence."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"invalid size: '{text}'")
    return int(float(found[1]) * base ** " kmgtp".index(found[2].lower() or " "))


def _number(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text, re.ASCII):
        raise ValueError(f'strconv.Atoi: parsing "{text}": invalid syntax')
    return int(text)


def _boolean(text: str) -> bool:
    if text not in _TRUE | _FALSE:
        raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')
    return text in _TRUE


def attributes(
    driver: str, options: Mapping[str, str], labels: Mapping[str, str], env: Iterable[str], facts: TagFacts
) -> dict[str, str]:
    """What `--details` shows before each line: chosen labels and variables, and the tag."""
    if driver not in _KNOWN or not _KNOWN[driver] & _ATTRIBUTES:
        return {}
    variables = dict(item.split("=", 1) for item in env if "=" in item)
    found = _chosen(labels, options.get("labels", ""), options.get("labels-regex", ""))
    found |= _chosen(variables, options.get("env", ""), options.get("env-regex", ""))
    tag = _tag(options.get("tag", ""), facts)
    return found | ({"tag": tag} if tag else {})


def details(found: Mapping[str, str]) -> bytes:
    """The attributes as they stand before a line, with the space behind them: `a=1,b=two+words `."""
    pairs = (f"{quote_plus(name)}={quote_plus(value)}" for name, value in sorted(found.items()))
    return (",".join(pairs) + " ").encode()


def _chosen(values: Mapping[str, str], names: str, pattern: str) -> dict[str, str]:
    regex = _pattern(pattern)
    listed = set(names.split(",")) if names else set()
    return {name: value for name, value in values.items() if name in listed or (regex and regex.search(name))}


def _pattern(text: str) -> re.Pattern[str] | None:
    if not text:
        return None
    try:
        return re.compile(text)
    except re.error as error:
        raise InvalidParameter(f"{_FAILED}error parsing regexp: {error}: `{text}`") from None


def _tag(template: str, facts: TagFacts) -> str:
    """A tag such as `{{.ImageName}}/{{.Name}}`. Of Go's templates, only fields are known."""
    fields = {
        ".ID": facts.id[:12],
        ".FullID": facts.id,
        ".Name": facts.name,
        ".ImageID": facts.image_id[:12],
        ".ImageFullID": facts.image_id,
        ".ImageName": facts.image,
        ".DaemonName": facts.daemon,
    }

    def field(found: re.Match[str]) -> str:
        if found[1] not in fields:
            raise InvalidParameter(
                f"{_FAILED}template: log-tag:1: {{{{{found[1]}}}}} is no field that a tag can have: use "
                f"{', '.join(fields)}"
            )
        return fields[found[1]]

    text = _ACTION.sub(field, template)
    if "{{" in _ACTION.sub("", template):
        raise InvalidParameter(f"{_FAILED}template: log-tag:1: unclosed action")
    return text
