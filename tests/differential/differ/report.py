"""Two answers as a text: what is the same once, what is not side by side, then both as they came. Pure."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

_LONGEST: Final = 400
"""Lines of one part that are shown."""


@dataclass(frozen=True)
class Answer:
    """Its parts by name (`status`, `stdout` …), as they came, and without what can't be equal."""

    raw: Mapping[str, str]
    normal: Mapping[str, str]


def report(asked: str, docker: Answer, seaway: Answer) -> str:
    """Markdown."""
    lines = [f"### `{asked}`", "", _verdict(docker, seaway), ""]
    for part in docker.normal:
        lines += _part(part, docker.normal[part], seaway.normal[part])
    lines += _raw("dockerd", docker.raw)
    lines += _raw("Seaway", seaway.raw)
    return "\n".join(lines) + "\n"


def _verdict(docker: Answer, seaway: Answer) -> str:
    parts = [part for part in docker.normal if docker.normal[part] != seaway.normal[part]]
    if not parts:
        return "No difference but ids, times, addresses and paths."
    return f"Different: {', '.join(parts)} (`-` dockerd, `+` Seaway; ids, times, addresses and paths are masked)."


def _part(name: str, docker: str, seaway: str) -> Iterator[str]:
    if docker == seaway:
        short = docker if docker and "\n" not in docker.strip() and len(docker) < _LONGEST else ""
        yield f"{name}: the same" + (f", `{short.strip()}`" if short.strip() else "")
        yield ""
        return
    yield f"{name}:"
    yield from ("", "```diff", *_limited(_differing(docker, seaway)), "```", "")


def _differing(docker: str, seaway: str) -> list[str]:
    """A unified diff without its head."""
    found = difflib.unified_diff(docker.splitlines(), seaway.splitlines(), lineterm="", n=2)
    return [line for line in found if not line.startswith(("---", "+++"))] or ["(only the ends of lines)"]


def _raw(engine: str, parts: Mapping[str, str]) -> Iterator[str]:
    yield f"<details><summary>{engine}, as it came</summary>"
    for name, text in parts.items():
        yield from ("", f"{name}:", "", "```", *_limited(text.splitlines()), "```")
    yield from ("", "</details>", "")


def _limited(lines: list[str]) -> list[str]:
    left = len(lines) - _LONGEST
    return lines if left <= 0 else [*lines[:_LONGEST], f"({left} more lines)"]
