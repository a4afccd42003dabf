"""From two observations to their differences, each with an address. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

ABSENT = "(absent)"
_REFUSED = 400


@dataclass(frozen=True)
class Difference:
    """`case` is "group/name", `where` "<n> METHOD /path field.path" in the observation."""

    case: str
    where: str
    docker: Any
    seaway: Any

    def __str__(self) -> str:
        return f"{self.case} | {self.where}\n    docker: {self.docker!r}\n    seaway: {self.seaway!r}"


def differences(case: str, docker: dict[str, Any], seaway: dict[str, Any]) -> list[Difference]:
    """All places at which two observations of a scenario differ."""
    return [Difference(case, *found) for found in _walk("", docker, seaway)]


def _walk(where: str, docker: Any, seaway: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(docker, dict) and isinstance(seaway, dict):
        if where.endswith("events said"):  # what only one of them has is seen in their order
            docker, seaway = _common(docker, seaway), _common(seaway, docker)
        if docker.get("status") != seaway.get("status") and "headers" in docker:
            yield from _other_status(where, docker, seaway)
            return
        for key in dict.fromkeys((*docker, *seaway)):
            yield from _walk(f"{where} {key}".strip(), docker.get(key, ABSENT), seaway.get(key, ABSENT))
    elif isinstance(docker, list) and isinstance(seaway, list) and len(docker) == len(seaway):
        for index, (ours, theirs) in enumerate(zip(docker, seaway, strict=True)):
            yield from _walk(f"{where} {index}", ours, theirs)
    elif docker != seaway or type(docker) is not type(seaway):
        yield where, docker, seaway


def _other_status(where: str, docker: dict[str, Any], seaway: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Of two refusals the words are compared as well; from a refusal on one side only all the rest follows."""
    if min(docker["status"], seaway["status"]) < _REFUSED:
        yield f"{where} answer", _in_short(docker), _in_short(seaway)
    else:
        yield f"{where} status", docker["status"], seaway["status"]
        yield from _walk(f"{where} body", docker.get("body"), seaway.get("body"))


def _in_short(answer: dict[str, Any]) -> str:
    body = answer.get("body")
    text = body["message"] if isinstance(body, dict) and "message" in body else repr(body)
    return f"{answer.get('status')} {text[:300]}"


def _common(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in one.items() if key in other}
