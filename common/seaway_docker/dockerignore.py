"""`.dockerignore`, as the engine reads it: only for the Dockerfile and itself. Pure.

Clients leave out of a context what it names, but always send these two files; so dockerd removes them where they are
named (moby, builder/remotecontext). A context that a client sends whole is taken whole.
"""

from collections.abc import Sequence
from typing import Final

from seaway_docker.errors import InvalidParameter
from seaway_docker.glob import path_match

NAME: Final = ".dockerignore"
_MOST_PATTERN: Final = 1024
_MOST_PARTS: Final = 32
_MOST_PATTERNS: Final = 10_000


def left_out(text: str, dockerfile: str) -> list[str]:
    """Which of `.dockerignore` and the Dockerfile a `.dockerignore` with this text leaves out of its context."""
    patterns = [line.strip() for line in text.splitlines()[:_MOST_PATTERNS] if not line.startswith("#")]
    return [path for path in (NAME, dockerfile) if is_ignored(path, patterns)]


def is_ignored(path: str, patterns: Sequence[str]) -> bool:
    """Whether the last pattern that matches a path, or a directory above it, leaves it out."""
    parts = _parts(path)
    ignored = False
    for pattern in patterns:
        negated = pattern.startswith("!")
        wanted = _parts(pattern.removeprefix("!").strip())
        if wanted and negated == ignored and any(_match(wanted, parts[:n]) for n in range(1, len(parts) + 1)):
            ignored = not negated
    return ignored


def _parts(path: str) -> list[str]:
    """Nothing of one that is too long to be meant."""
    found: list[str] = []
    if len(path) > _MOST_PATTERN:
        return found
    for part in path.split("/"):
        if part == "..":
            del found[-1:]
        elif part not in ("", "."):
            found.append(part)
    return found if len(found) <= _MOST_PARTS else []


def _match(wanted: Sequence[str], parts: Sequence[str]) -> bool:
    """Part by part; `**` stands for any number of them. In a table, so in polynomial time."""
    reached = {0}
    for pattern in wanted:
        if pattern == "**":
            reached = set(range(min(reached, default=len(parts) + 1), len(parts) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(parts) and _fits(pattern, parts[at])}
    return len(parts) in reached


def _fits(pattern: str, part: str) -> bool:
    try:
        return path_match(pattern, part)
    except InvalidParameter:
        return False
