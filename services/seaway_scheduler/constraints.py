"""Constraints on nodes, in Swarm's words: `node.labels.disk==ssd`, `node.hostname!=a`, `node==n2`. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from seaway_contracts.errors import bad_request

_FORM: Final = re.compile(r"\s*([A-Za-z0-9._/-]+)\s*(==|!=)\s*(.*?)\s*")
_LABELS: Final = "node.labels."


@dataclass(frozen=True)
class NodeTraits:
    """What constraints can ask of a node."""

    name: str
    hostname: str = ""
    os: str = "linux"
    architecture: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def value(self, key: str) -> str:
        """The value for a constraint's key; empty where a label isn't set."""
        if key.startswith(_LABELS):
            return self.labels.get(key.removeprefix(_LABELS), "")
        return {
            "node": self.name,
            "node.id": self.name,
            "node.hostname": self.hostname,
            "node.platform.os": self.os,
            "node.platform.arch": self.architecture,
        }[key]


_KEYS: Final = ("node", "node.id", "node.hostname", "node.platform.os", "node.platform.arch")


@dataclass(frozen=True)
class Constraint:
    """One condition."""

    key: str
    equal: bool
    value: str

    def allows(self, node: NodeTraits) -> bool:
        """Whether the node fits."""
        return (node.value(self.key) == self.value) is self.equal

    def __str__(self) -> str:
        return f"{self.key}{'==' if self.equal else '!='}{self.value}"


def parse(text: str) -> Constraint:
    """A constraint from its text; raises SeawayError(BAD_REQUEST)."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise bad_request(f"{text!r} is no constraint: write key==value or key!=value")
    key, operator, value = found.groups()
    if key not in _KEYS and not (key.startswith(_LABELS) and len(key) > len(_LABELS)):
        raise bad_request(f"{text!r}: constraints know node.labels.NAME, {', '.join(_KEYS)}")
    return Constraint(key, operator == "==", value)
