"""Which containers are on which node, and what placement asks about them: ports, images, names, labels. Pure.

Each container that comes or goes changes a few counters. Conditions that have been asked lately are answered from
counters too, so no placement looks at all containers.
"""

from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from seaway_contracts.containers import ContainerRecord
from seaway_scheduler.conditions import Matcher

T = TypeVar("T")
_CONDITIONS: Final = 64
_NONE: Final[Mapping[str, int]] = {}


@dataclass(frozen=True, slots=True)
class Held:
    """A container on a node. `name` and `image_id` are empty until it is made."""

    id: str
    node: str
    name: str = ""
    image: str = ""
    image_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    host_ports: frozenset[int] = frozenset()

    @classmethod
    def of(cls, record: ContainerRecord) -> "Held":
        """The container of a record."""
        spec = record.spec
        ports = frozenset(spec.network.fixed_host_ports)
        return cls(spec.id, record.node, spec.name, spec.image.ref, spec.image.id, spec.labels, ports)

    def texts(self, key: str) -> Iterator[str]:
        """What an affinity's key means for this container."""
        if key == "container":
            yield from (self.id, self.name)
        elif key == "image":
            yield from (self.image, repository(self.image), self.image_id)
        elif key == "label":
            for name, value in self.labels.items():
                yield from (name, f"{name}={value}")
        elif key in self.labels:
            yield self.labels[key]


def repository(image: str) -> str:
    """An image's name without tag and digest."""
    image = image.partition("@")[0]
    head, slash, last = image.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


class Holdings:
    """The containers of all nodes, by id. Nodes are counted by name, whether they are known or not."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}
        self._ids: dict[str, str] = {}
        self._ports: dict[str, Counter[int]] = {}
        self._images: dict[str, Counter[str]] = {}
        self._asked: OrderedDict[tuple[str, str], tuple[Matcher, Counter[str]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Held]:
        return iter(self._held.values())

    def get(self, identifier: str) -> Held | None:
        """The container with that id."""
        return self._held.get(identifier)

    def ports(self, node: str) -> Collection[int]:
        """The host ports that containers of the node have."""
        ports = self._ports.get(node)
        return () if ports is None else ports.keys()

    def with_image(self, image: str) -> Mapping[str, int]:
        """The nodes with containers of that image (as users named it), and how many."""
        return self._images.get(image, _NONE)

    def matching(self, matcher: Matcher) -> Collection[str]:
        """The nodes that have what the matcher's value names."""
        key, value = matcher.condition.key, matcher.condition.value
        if key == "container" and matcher.exact is not None:
            held = self._held.get(self._ids.get(value, value))
            return () if held is None else (held.node,)
        known = self._asked.get((key, value))
        if known is None:
            matching = (held.node for held in self if matcher.matches_any(held.texts(key)))
            known = self._asked[key, value] = matcher, Counter(matching)
            if len(self._asked) > _CONDITIONS:
                self._asked.popitem(last=False)
        self._asked.move_to_end((key, value))
        return known[1].keys()

    def add(self, held: Held) -> None:
        """The container is on its node; what was known of it is replaced."""
        self.remove(held.id)
        self._held[held.id] = held
        if held.name:
            self._ids[held.name] = held.id
        if held.host_ports:
            self._ports.setdefault(held.node, Counter()).update(held.host_ports)
        if held.image:
            self._images.setdefault(held.image, Counter())[held.node] += 1
        self._count(held, 1)

    def remove(self, identifier: str) -> None:
        """The container is on no node."""
        held = self._held.pop(identifier, None)
        if held is None:
            return
        if self._ids.get(held.name) == identifier:
            del self._ids[held.name]
        for port in held.host_ports:
            _less(self._ports, held.node, port)
        if held.image:
            _less(self._images, held.image, held.node)
        self._count(held, -1)

    def _count(self, held: Held, number: int) -> None:
        for (key, _), (matcher, nodes) in self._asked.items():
            if matcher.matches_any(held.texts(key)):
                nodes[held.node] += number
                if not nodes[held.node]:
                    del nodes[held.node]


def _less(counters: dict[str, Counter[T]], key: str, item: T) -> None:
    counter = counters[key]
    counter[item] -= 1
    if not counter[item]:
        del counter[item]
    if not counter:
        del counters[key]
