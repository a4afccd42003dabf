"""The OCI runtimes of this node."""

from collections.abc import Mapping
from dataclasses import dataclass

from seaway_contracts.errors import bad_request


@dataclass(frozen=True)
class Runtimes:
    """Name → program; `default` is what a container gets that names none."""

    programs: Mapping[str, str]
    default: str

    def find(self, name: str) -> tuple[str, str]:
        """A runtime's name and program, the default's for an empty name. Raises SeawayError (400) in Docker's words."""
        chosen = name or self.default
        if chosen not in self.programs:
            raise bad_request(f"unknown or invalid runtime name: {chosen}")
        return chosen, self.programs[chosen]
