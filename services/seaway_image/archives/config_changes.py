"""Dockerfile instructions that change an image's config, as `import` and `commit` take them (`--change`). Pure."""

import json
import posixpath
import re
import shlex
from collections.abc import Callable, Sequence
from typing import Final

from seaway_contracts.errors import bad_request
from seaway_contracts.images import Healthcheck, ImageConfig
from seaway_image.oci.config_encoding import encode_run_config
from seaway_image.oci.configs import parse_run_config

_SHELL: Final = ("/bin/sh", "-c")
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNITS: Final = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
Instruction = Callable[[ImageConfig, str], ImageConfig]


def apply_changes(config: ImageConfig, changes: Sequence[str]) -> ImageConfig:
    """`config` after these instructions; raises SeawayError(BAD_REQUEST), naming the one that is wrong."""
    cmd_given = False
    for line in (line.strip() for change in changes for line in change.splitlines()):
        if not line or line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        instruction = _INSTRUCTIONS.get(word.upper())
        if instruction is None:
            raise bad_request(f"{word[:40]} is not a valid change command")
        if not rest.strip():
            raise bad_request(f"{word.upper()} requires at least one argument")
        config = instruction(config, rest.strip())
        cmd_given |= word.upper() == "CMD"
        if word.upper() == "ENTRYPOINT" and not cmd_given:
            config = _with(config, cmd=None)  # what was meant for another program
    return parse_run_config(encode_run_config(config))


def _with(config: ImageConfig, **fields: object) -> ImageConfig:
    return config.model_copy(update=fields)


def _words(rest: str) -> list[str]:
    try:
        return shlex.split(rest)
    except ValueError as error:
        raise bad_request(f"{rest[:100]!r}: {error}") from None


def _json_words(rest: str) -> tuple[str, ...] | None:
    """The exec form `["a","b"]`; None for anything else, which is then the shell form."""
    try:
        value = json.loads(rest)
    except ValueError:
        return None
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        return None
    return tuple(value)


def _command(config: ImageConfig, rest: str) -> tuple[str, ...]:
    exact = _json_words(rest)
    return (*(config.shell or _SHELL), rest) if exact is None else exact


def _pairs(rest: str) -> dict[str, str]:
    """`a=1 b="2 3"`, or the old form `a 1`."""
    words = _words(rest)
    if words and "=" not in words[0]:
        name, _, value = rest.partition(" ")
        if not value.strip():
            raise bad_request(f"{name[:100]!r} must have two arguments: a name and a value")
        return {name: value.strip()}
    broken = [word for word in words if "=" not in word]
    if broken:
        raise bad_request(f"Syntax error - can't find = in {broken[0][:100]!r}. Must be of the form: name=value")
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def _env(config: ImageConfig, rest: str) -> ImageConfig:
    known = {name: value for name, _, value in (text.partition("=") for text in config.env)}
    return _with(config, env=tuple(f"{name}={value}" for name, value in (known | _pairs(rest)).items()))


def _workdir(config: ImageConfig, rest: str) -> ImageConfig:
    return _with(config, workdir=posixpath.normpath(posixpath.join("/", config.workdir, _words(rest)[0])))


def _expose(config: ImageConfig, rest: str) -> ImageConfig:
    return _with(config, exposed_ports=tuple(sorted({*config.exposed_ports, *_words(rest)})))


def _volume(config: ImageConfig, rest: str) -> ImageConfig:
    return _with(config, volumes=tuple(sorted({*config.volumes, *(_json_words(rest) or _words(rest))})))


def _healthcheck(config: ImageConfig, rest: str) -> ImageConfig:
    fields: dict[str, int] = {}
    while option := re.match(r"--(interval|timeout|start-period|start-interval|retries)=(\S+)\s+", rest):
        name, text = option[1].replace("-", "_"), option[2]
        fields[name if name == "retries" else f"{name}_ns"] = _count(text) if name == "retries" else _duration(text)
        rest = rest[option.end() :]
    kind, _, command = rest.partition(" ")
    if kind.upper() == "NONE" and not command and not fields:
        return _with(config, healthcheck=Healthcheck(test=("NONE",)))
    if kind.upper() != "CMD" or not command.strip():
        raise bad_request(f"HEALTHCHECK: {rest[:100]!r} is neither NONE nor CMD and a command")
    exact = _json_words(command.strip())
    test = ("CMD-SHELL", command.strip()) if exact is None else ("CMD", *exact)
    return _with(config, healthcheck=Healthcheck.model_validate({"test": test, **fields}))


def _count(text: str) -> int:
    if not text.isdigit() or len(text) > 9:
        raise bad_request(f"HEALTHCHECK: --retries={text[:40]} is no number")
    return int(text)


def _duration(text: str) -> int:
    """Go's duration (`1m30s`) in nanoseconds."""
    found = _DURATION.findall(text)
    if not found or "".join(number + unit for number, unit in found) != text or len(text) > 40:
        raise bad_request(f"HEALTHCHECK: {text[:40]!r} is no duration such as 30s")
    return round(sum(float(number) * _UNITS[unit] for number, unit in found))


_INSTRUCTIONS: Final[dict[str, Instruction]] = {
    "CMD": lambda config, rest: _with(config, cmd=_command(config, rest)),
    "ENTRYPOINT": lambda config, rest: _with(config, entrypoint=_command(config, rest)),
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": lambda config, rest: _with(config, labels=config.labels | _pairs(rest)),
    "ONBUILD": lambda config, rest: _with(config, on_build=(*config.on_build, rest)),
    "STOPSIGNAL": lambda config, rest: _with(config, stop_signal=_words(rest)[0]),
    "USER": lambda config, rest: _with(config, user=_words(rest)[0]),
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
