"""What each instruction of a Dockerfile must look like, in Docker's words (BuildKit, frontend/dockerfile). Pure.

The builder would refuse most of this, too, but only when it comes there, and in its own words.
"""

import re
from collections.abc import Iterable
from typing import Final

import orjson

from seaway_docker.dockerfile import INSTRUCTIONS, Instruction, parse_error, raw_words, split
from seaway_docker.errors import InvalidParameter

_FLAGS: Final[dict[str, frozenset[str]]] = {
    "from": frozenset(("platform",)),
    "add": frozenset(("chown", "chmod", "link", "keep-git-dir", "checksum", "exclude")),
    "copy": frozenset(("from", "chown", "chmod", "link", "parents", "exclude")),
    "run": frozenset(("mount", "network", "security")),
    "healthcheck": frozenset(("interval", "timeout", "start-period", "start-interval", "retries")),
}
_BARE: Final = frozenset(("link", "keep-git-dir", "parents"))
_REPEATED: Final = frozenset(("mount", "exclude"))
_ONE: Final = frozenset(("maintainer", "workdir", "user", "stopsignal"))
_SOME: Final = frozenset(("env", "label", "expose", "volume", "arg", "shell", "healthcheck", "onbuild"))
_PORT: Final = re.compile(r"(?:(?:[^:]*:)?[^:]*:)?(\d{1,5}(?:-\d{1,5})?)(?:/\w+)?")
_HIGHEST: Final = 65535


def check(one: Instruction) -> None:
    """Raise InvalidParameter (400) for an instruction that is none."""
    word = one.word
    if word not in INSTRUCTIONS:
        shown, near = one.text.split()[0][:60], suggestion(word, INSTRUCTIONS)
        hint = f" (did you mean {near.upper()}?)" if near else ""
        raise parse_error(one.line, f"unknown instruction: {shown}{hint}")
    _check_flags(one)
    if word in _ONE and not one.rest:
        raise parse_error(one.line, f"{word.upper()} requires exactly one argument")
    if word in _SOME and not one.rest:
        raise parse_error(one.line, f"{word.upper()} requires at least one argument")
    if word in ("env", "label"):
        _check_pairs(one)
    elif word in ("add", "copy") and "<<" not in one.rest and len(_words(one.rest)) < 2:
        raise parse_error(
            one.line,
            f"{word.upper()} requires at least two arguments, but only one was provided. Destination could not be "
            "determined",
        )
    elif word == "shell" and _list(one.rest) is None:
        raise parse_error(one.line, "SHELL requires the arguments to be in JSON form")
    elif word == "healthcheck":
        _check_health(one)
    elif word == "onbuild":
        _check_trigger(one)


def refused_step(one: Instruction) -> str:
    """Why an instruction that looks right can't be carried out, where that needs no variables; else nothing."""
    if one.word == "expose":
        for word in raw_words(one.rest):
            if "$" not in word and not _is_port(word.strip("\"'")):
                return f"Invalid containerPort: {word[:60]}"
    return ""


def exec_form(rest: str) -> list[str] | None:
    """The words of `["a", "b"]`; None for a shell's command."""
    return _list(rest)


def _check_flags(one: Instruction) -> None:
    known, seen = _FLAGS.get(one.word, frozenset()), set()
    for flag in one.flags:
        name, sign, _ = flag.removeprefix("--").partition("=")
        if not name:
            continue
        if name not in known:
            raise parse_error(one.line, f"unknown flag: {name[:60]}")
        if not sign and name not in _BARE:
            raise parse_error(one.line, f"missing a value on flag: {name}")
        if name in seen and name not in _REPEATED:
            raise parse_error(one.line, f"duplicate flag specified: {name}")
        seen.add(name)


def _check_pairs(one: Instruction) -> None:
    """`NAME value`, or `NAME=value …`."""
    name = one.word.upper()
    first, *others = raw_words(one.rest)
    if "=" not in first:
        if not others:
            raise InvalidParameter(f"failed to parse Dockerfile: {name} must have two arguments")
        return
    for word in (first, *others):
        key, sign, _ = word.partition("=")
        if not sign:
            raise InvalidParameter(
                f'failed to parse Dockerfile: Syntax error - can\'t find = in "{word[:60]}". '
                "Must be of the form: name=value"
            )
        if not key.strip("\"'"):
            raise parse_error(one.line, f"{name} names can not be blank")


def _check_health(one: Instruction) -> None:
    kind, _, rest = one.rest.partition(" ")
    if kind.upper() == "NONE":
        if rest.strip():
            raise parse_error(one.line, "HEALTHCHECK NONE takes no arguments")
    elif kind.upper() != "CMD":
        raise parse_error(one.line, f'Unknown type "{kind.upper()[:60]}" in HEALTHCHECK (try CMD)')
    elif not rest.strip():
        raise parse_error(one.line, "Missing command after HEALTHCHECK CMD")


def _check_trigger(one: Instruction) -> None:
    word = split(one.rest)[0]
    if word == "onbuild":
        raise parse_error(one.line, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if word in ("from", "maintainer"):
        raise parse_error(one.line, f"{word.upper()} isn't allowed as an ONBUILD trigger")


def _is_port(word: str) -> bool:
    found = _PORT.fullmatch(word)
    return found is not None and all(int(port) <= _HIGHEST for port in found[1].split("-"))


def _list(text: str) -> list[str] | None:
    if not text.startswith("["):
        return None
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, list) and all(isinstance(one, str) for one in found) else None


def _words(rest: str) -> list[str]:
    found = _list(rest)
    return found if found is not None else list(raw_words(rest))


def suggestion(word: str, known: Iterable[str]) -> str:
    """The known word that is nearest, at most two letters away; else nothing."""
    near = sorted((_distance(word.lower(), one), one) for one in known) if len(word) < 32 else []
    return near[0][1] if near and near[0][0] <= 2 else ""


def _distance(one: str, other: str) -> int:
    """Levenshtein's."""
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, 1):
        before, row[0] = row[0], number
        for at, second in enumerate(other, 1):
            before, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, before + (letter != second))
    return row[-1]
