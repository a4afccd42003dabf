"""The differences that are known (`known.toml`), and what they cover."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from differ.compare import Difference

_DOCUMENT: Final[dict[str, Any]] = tomllib.loads((Path(__file__).parent / "known.toml").read_text())


@dataclass(frozen=True)
class Known:
    """One difference, or one kind of them; all but the reason are patterns."""

    reason: str
    where: str
    case: str = "*"
    docker: str = "*"
    seaway: str = "*"

    def covers(self, found: Difference) -> bool:
        """Whether it speaks of this one."""
        return (
            fnmatchcase(found.case, self.case)
            and fnmatchcase(found.where, self.where)
            and fnmatchcase(str(found.docker), self.docker)
            and fnmatchcase(str(found.seaway), self.seaway)
        )

    def speaks_of(self, case: str) -> bool:
        """Whether it could occur in this scenario."""
        return fnmatchcase(case, self.case)


def _all() -> Iterator[Known]:
    for kind in ("on-purpose", "still-there"):
        for entry in _DOCUMENT.get(kind, ()):
            for place in entry["places"]:
                for case in entry.get("cases", [place.pop("case", "*")]):
                    yield Known(entry["reason"], case=case, **place)


KNOWN: Final = tuple(_all())
AWAITED: Final = frozenset(_DOCUMENT["awaited"])


def is_awaited(address: str) -> bool:
    """Whether this scenario, or its group, is about something that is still being built."""
    return any(address == name or address.startswith((f"{name}/", f"{name} ")) for name in AWAITED)


def unknown(found: list[Difference]) -> list[Difference]:
    """Those of which nobody has said why they are there."""
    return [difference for difference in found if not any(known.covers(difference) for known in KNOWN)]
