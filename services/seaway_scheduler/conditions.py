"""Conditions on nodes and on what they have, in the words of classic Swarm: what matches them. Pure."""

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from seaway_contracts.errors import bad_request
from seaway_contracts.placement import Condition
from seaway_docker.patterns import searcher

_LABELS: Final = ("node.labels.", "engine.labels.")
_NODE: Final = "node."


@dataclass(frozen=True, slots=True)
class NodeTraits:
    """What constraints can ask of a node."""

    name: str
    hostname: str = ""
    os: str = "linux"
    architecture: str = ""
    operating_system: str = ""
    kernel_version: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def values(self, key: str) -> tuple[str, ...]:
        """The names of what a constraint's key is about; empty where a label isn't set.

        Any other word is a label, as in Swarm.
        """
        known = _TRAITS.get(key)
        if known is not None:
            return known(self)
        for prefix in _LABELS:
            key = key.removeprefix(prefix)
        return (self.labels.get(key, ""),)


STORAGE_DRIVER: Final = "overlay2"
"""What all nodes have; `docker info` calls it so."""
ARCHITECTURES: Final = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "i686": "386"}
"""What the kernel calls an architecture, and what images call it."""
_TRAITS: Final[Mapping[str, Callable[[NodeTraits], tuple[str, ...]]]] = {
    "node": lambda traits: (traits.name,),
    "node.id": lambda traits: (traits.name,),
    "node.hostname": lambda traits: (traits.hostname,),
    "node.platform.os": lambda traits: (traits.os,),
    "node.platform.arch": lambda traits: (
        traits.architecture,
        ARCHITECTURES.get(traits.architecture, traits.architecture),
    ),
    "operatingsystem": lambda traits: (traits.operating_system,),
    "kernelversion": lambda traits: (traits.kernel_version,),
    "storagedriver": lambda traits: (STORAGE_DRIVER,),
}


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition that is ready to be asked. `exact`: the only text that matches; None for a pattern.

    `matches` returns whether the value fits a text, whatever the operator.
    """

    condition: Condition
    exact: str | None
    matches: Callable[[str], bool]

    def matches_any(self, texts: Iterable[str]) -> bool:
        """Whether the value fits one of the texts."""
        return any(map(self.matches, texts))

    def allows(self, node: NodeTraits) -> bool:
        """Whether the node meets the condition, as a constraint."""
        return self.matches_any(node.values(self.condition.key)) is self.condition.equal


@lru_cache(maxsize=1024)
def matcher(condition: Condition) -> Matcher:
    """What asks the condition. Raises SeawayError (BAD_REQUEST) where its value is no regular expression."""
    value = condition.value
    if len(value) > 1 and value[0] == value[-1] == "/":
        try:
            return Matcher(condition, None, searcher(value[1:-1]))
        except ValueError as error:
            raise bad_request(f"{condition}: {value} is no regular expression: {error}") from None
    if "*" in value or "?" in value:
        return Matcher(condition, None, _glob(value))
    return Matcher(condition, value, value.__eq__)


def constraint(condition: Condition) -> Matcher:
    """The same, for a constraint. Raises SeawayError (BAD_REQUEST), also where no node can have such a key."""
    key = condition.key
    is_label = any(key.startswith(prefix) and key != prefix for prefix in _LABELS)
    if not key or (key.startswith(_NODE) and key not in _TRAITS and not is_label):
        raise bad_request(
            f"constraint {condition} is not valid: use {', '.join(_TRAITS)}, node.labels.NAME, or a label's bare name"
        )
    return matcher(condition)


def _glob(value: str) -> Callable[[str], bool]:
    """Without backtracking, however many stars there are."""
    search = re.compile(r"\A" + fnmatch.translate(value.replace("[", "[[]"))).search
    return lambda text: search(text) is not None
