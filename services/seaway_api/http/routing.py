"""Which handler serves a method and path. Pure.

Templates are Docker's: `{name}` takes one or more segments (image names hold slashes, and Docker decodes `%2F` first).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar
from urllib.parse import unquote

from seaway_api.translate.version import NEWEST, ApiVersion, parse_api_version

H = TypeVar("H")
_VERSIONED: Final = re.compile(r"/v([0-9.]+)(/.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Route(Generic[H]):
    """One endpoint. `waits` marks those that only watch or stream: they end when their client hangs up.

    `early` are those that are answered before the bus is there, too. `nameless`: the last name may be empty, so that
    the handler says what is wrong with that.
    """

    method: str
    template: str
    handler: H
    waits: bool = False
    early: bool = False
    nameless: bool = False

    def pattern(self) -> re.Pattern[str]:
        """What the decoded path must look like."""
        found = re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(self.template))
        return re.compile(re.sub(r"\.\+\)$", ".*)", found) if self.nameless else found, re.DOTALL)


@dataclass(frozen=True, slots=True)
class Match(Generic[H]):
    """The route of a request, and what stood in the places of its template."""

    route: Route[H]
    params: Mapping[str, str]


def split_version(raw_path: str) -> tuple[ApiVersion | None, str, str]:
    """The version in front of a path, the decoded path behind it, and the version's text.

    No version means the newest; None a prefix that is no version.
    """
    found = _VERSIONED.match(raw_path)
    if found is None:
        return NEWEST, unquote(raw_path), ""
    return parse_api_version(found[1]), unquote(found[2]), found[1]


def clean_path(raw_path: str) -> str:
    """The path without empty segments, `.` and `..`, still encoded: where dockerd's router redirects to."""
    if not raw_path.startswith("/"):
        return raw_path
    kept: list[str] = []
    for segment in raw_path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    end = "/" if raw_path.endswith("/") and kept else ""
    return f"/{'/'.join(kept)}{end}"


class Router(Generic[H]):
    """Finds routes; more specific ones must be listed first."""

    def __init__(self, routes: Iterable[Route[H]]) -> None:
        self._fixed: dict[tuple[str, str], Match[H]] = {}
        self._patterns: dict[tuple[str, str], list[tuple[re.Pattern[str], Route[H]]]] = {}
        for route in routes:
            if "{" in route.template:
                key = (route.method, _first_segment(route.template))
                self._patterns.setdefault(key, []).append((route.pattern(), route))
            else:
                self._fixed[route.method, route.template] = Match(route, {})

    def find(self, method: str, path: str) -> Match[H] | None:
        """The match for a decoded path without its version."""
        fixed = self._fixed.get((method, path))
        if fixed is not None:
            return fixed
        for pattern, route in self._patterns.get((method, _first_segment(path)), ()):
            found = pattern.fullmatch(path)
            if found is not None:
                return Match(route, found.groupdict())
        return None


def _first_segment(path: str) -> str:
    return path.split("/", 2)[1] if path.startswith("/") else ""
