"""The forms in which JSON is kept: each has a version, and steps that make a later form of an earlier one. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
Step = Callable[[str, Json], Json]
"""Makes the next version's document of one; told what it is, where several kinds share a version."""


@dataclass(frozen=True)
class Form:
    """`steps[0]` makes version 2 of version 1, and so on: a step is all that a new version needs."""

    steps: tuple[Step, ...] = ()

    @property
    def version(self) -> int:
        """What this release writes."""
        return len(self.steps) + 1

    def upgraded(self, kind: str, document: Json, version: int) -> Json:
        """A document of an earlier version in the present form. What tells of no version (0) is of the first."""
        for step in self.steps[max(0, version - 1) :]:
            document = step(kind, document)
        return document
