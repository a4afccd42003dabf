"""Which containers are on which node, and what placement asks about them: ports, images, names, labels. Pure.

Each container that comes or goes changes a few counters. Conditions that have been asked lately are answered from
counters too, so no placement looks at all containers.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from seaway_contracts.containers import ContainerRecord
from seaway_scheduler.conditions import Matcher

T = TypeVar("T")
V = TypeVar("V")
_KEYS: Final = 64
_PATTERNS: Final = 16
_EXACT: Final = 1024
_NO_TEXTS: Final[frozenset[str]] = frozenset()
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

    def texts(self, key: str) -> frozenset[str]:
        """What an affinity's key means for this container."""
        if key == "container":
            return frozenset((self.id, self.name))
        if key == "image":
            return frozenset((self.image, repository(self.image), self.image_id))
        if key == "label":
            return frozenset(text for name, value in self.labels.items() for text in (name, f"{name}={value}"))
        return frozenset((self.labels[key],)) if key in self.labels else _NO_TEXTS


def repository(image: str) -> str:
    """An image's name without tag and digest."""
    image = image.partition("@")[0]
    head, slash, last = image.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


class _Answers:
    """The nodes that meet conditions with one key, for the conditions that have been asked lately."""

    def __init__(self) -> None:
        self._exact: OrderedDict[str, Counter[str]] = OrderedDict()
        self._patterns: OrderedDict[str, tuple[Matcher, Counter[str]]] = OrderedDict()

    def get(self, matcher: Matcher, containers: Callable[[], Iterable[Held]]) -> Counter[str]:
        """The nodes with containers that match. `containers` returns all, which are counted the first time."""
        key, value = matcher.condition.key, matcher.condition.value
        if matcher.exact is not None:
            if value not in self._exact:
                self._exact[value] = Counter(held.node for held in containers() if value in held.texts(key))
            return _latest(self._exact, value, _EXACT)
        if value not in self._patterns:
            matching = (held.node for held in containers() if matcher.matches_any(held.texts(key)))
            self._patterns[value] = matcher, Counter(matching)
        return _latest(self._patterns, value, _PATTERNS)[1]

    def count(self, node: str, texts: frozenset[str], number: int) -> None:
        """A container with these texts came to the node, or went (-1)."""
        for text in texts:
            counter = self._exact.get(text)
            if counter is not None:
                _add(counter, node, number)
        for matcher, counter in self._patterns.values():
            if matcher.matches_any(texts):
                _add(counter, node, number)


class Holdings:
    """The containers of all nodes, by id. Nodes are counted by name, whether they are known or not."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}
        self._ids: dict[str, str] = {}
        self._ports: dict[str, Counter[int]] = {}
        self._images: dict[str, Counter[str]] = {}
        self._answers: OrderedDict[str, _Answers] = OrderedDict()

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
        key = matcher.condition.key
        if key == "container" and matcher.exact is not None:
            held = self._held.get(self._ids.get(matcher.exact, matcher.exact))
            return () if held is None else (held.node,)
        if key not in self._answers:
            self._answers[key] = _Answers()
        return _latest(self._answers, key, _KEYS).get(matcher, self._held.values).keys()

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
        for key, answers in self._answers.items():
            texts = held.texts(key)
            if texts:
                answers.count(held.node, texts, number)


def _latest(known: OrderedDict[str, V], key: str, most: int) -> V:
    """The entry, which becomes the latest; if there are too many, the least recently used one is removed."""
    known.move_to_end(key)
    if len(known) > most:
        known.popitem(last=False)
    return known[key]


def _add(counter: Counter[T], item: T, number: int) -> None:
    counter[item] += number
    if not counter[item]:
        del counter[item]


def _less(counters: dict[str, Counter[T]], key: str, item: T) -> None:
    counter = counters[key]
    _add(counter, item, -1)
    if not counter:
        del counters[key]
