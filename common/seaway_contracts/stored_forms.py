"""Versions of stored JSON documents, and the steps that upgrade an earlier version. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
Step = Callable[[str, Json], Json]
"""Returns the next version of a document; gets its kind, as several kinds may share a version."""


@dataclass(frozen=True)
class Form:
    """`steps[0]` makes version 2 of version 1, and so on: a new version needs only a step."""

    steps: tuple[Step, ...] = ()

    @property
    def version(self) -> int:
        """The version that this release writes."""
        return len(self.steps) + 1

    def upgraded(self, kind: str, document: Json, version: int) -> Json:
        """A document of an earlier version, upgraded to the present one. Version 0 (none given) counts as 1."""
        for step in self.steps[max(0, version - 1) :]:
            document = step(kind, document)
        return document
