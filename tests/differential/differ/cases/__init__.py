"""All scenarios, by group."""

from importlib import import_module
from typing import Final

from differ.steps import Case

GROUPS: Final = (
    "archiving",
    "attaching",
    "building",
    "clients",
    "committing",
    "connecting",
    "create",
    "create_host",
    "events",
    "executing",
    "health",
    "images",
    "inspect",
    "lifecycle",
    "listing",
    "loading",
    "logs",
    "networks",
    "older",
    "plugins",
    "pruning",
    "pushing",
    "registries",
    "renaming",
    "restarting",
    "routes",
    "stats",
    "swarm",
    "top",
    "updating",
    "volumes",
    "waiting",
    "wording",
)


def all_cases() -> dict[str, Case]:
    """By address, "group/name"."""
    return {f"{group}/{case.name}": case for group in GROUPS for case in import_module(f"differ.cases.{group}").CASES}
