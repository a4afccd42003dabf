"""Containers as the cache keeps them: each record with what lists and inspect make of it."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import orjson

from seaway_api.cache.record_cache import Kind
from seaway_api.translate.inspect import inspect_json
from seaway_api.translate.listing import container_facts, list_line, state_at
from seaway_api.translate.networking import EndpointForm
from seaway_api.translate.nodes import NodeView
from seaway_bus.judging import Verdict, verdict
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.ids import is_container_id
from seaway_docker.container_filters import ContainerFacts

_MOST_NODES: Final = 1 << 16
Made = TypeVar("Made")


class CachedContainer:
    """One container, with what lists and inspect make of it.

    The parsed record takes ten times the memory of the rest. So it is dropped once a list or a filter has made what it
    needs, and parsed again in the rare case that somebody asks for it after that.
    """

    def __init__(self, record: ContainerRecord, data: bytes = b"") -> None:
        """`data`: the record's JSON; without it the parsed record is kept."""
        self.id, self.name, self.seq = record.id, record.spec.name, record.status.seq
        """The whole id; the name, without Docker's slash; the number of its status (0: registered, not created yet)."""
        self.image = record.spec.image.ref, record.spec.image.id
        """The image as the user named it, and its id."""
        self.node, self.state = record.node, record.status.state
        self.read_at = 0.0
        self.outdated = False
        self._state_at = state_at(record.status)
        self._data = data
        self._record: ContainerRecord | None = record
        self._facts: ContainerFacts | None = None
        self._shown: dict[tuple[str, EndpointForm], tuple[object, object]] = {}

    @classmethod
    def read(cls, data: bytes) -> "CachedContainer":
        """From a record's JSON. Raises pydantic.ValidationError for what is none."""
        return cls(ContainerRecord.model_validate_json(data), data)

    @property
    def record(self) -> ContainerRecord:
        """The record."""
        if self._record is None:
            self._record = ContainerRecord.model_validate_json(self._data)
        return self._record

    def prepare(self, form: EndpointForm, node: NodeView) -> None:
        """Make what `docker inspect` shows, so that it is there when it is asked for."""
        self.inspected_json(form, node)

    @property
    def facts(self) -> ContainerFacts:
        """What filters compare."""
        if self._facts is None:
            self._facts = container_facts(self.record)
            self._drop_record()
        return self._facts

    def line(self, form: EndpointForm, node: NodeView) -> dict[str, Any]:
        """Its line in a list, but for what the time of day changes. `node`: the one that it is on."""
        return list_line(self.record, form, node.ports_address)

    def line_json(self, now_ns: int, form: EndpointForm, node: NodeView) -> bytes:
        """Its line as it is now."""
        before, after = self._made("around", (form, node.ports_address), lambda: self._around(form, node))
        return before + orjson.dumps(self._state_at(now_ns=now_ns, reachable=node.up)) + after

    def _around(self, form: EndpointForm, node: NodeView) -> tuple[bytes, bytes]:
        """The line's JSON before and after the one field that changes with time."""
        line = self.line(form, node)
        fields = list(line.items())
        place = list(line).index("Status")
        before, after = orjson.dumps(dict(fields[:place])), orjson.dumps(dict(fields[place + 1 :]))
        self._drop_record()
        return before[:-1] + b',"Status":', b"," + after[1:]

    def inspected_json(self, form: EndpointForm, node: NodeView) -> bytes:
        """What `docker inspect` shows, but for its size and the last probes of its health; with Go's line feed."""
        return self._made(
            "inspected",
            (form, node),
            lambda: orjson.dumps(inspect_json(self.record, form, node), option=orjson.OPT_APPEND_NEWLINE),
        )

    def _drop_record(self) -> None:
        if self._data:
            self._record = None

    def _made(self, what: str, of: tuple[EndpointForm, object], make: Callable[[], Made]) -> Made:
        """What was made before of the same, or is made now."""
        kept = self._shown.get((what, of[0]))
        if kept is None or kept[0] != of[1]:
            kept = self._shown[what, of[0]] = of[1], make()
        return cast(Made, kept[1])


CONTAINERS: Final = Kind("container", gone="destroy", read=CachedContainer.read, is_id=is_container_id)


class ContainerNodes:
    """The nodes of containers, as far as known, by container id or by the prefix that its execs' ids have.

    A container never changes its node. Beyond a bound the oldest are dropped.
    """

    def __init__(self) -> None:
        self._nodes: OrderedDict[str, str] = OrderedDict()

    def find(self, container: str) -> str | None:
        """The node of a container, None if unknown."""
        node = self._nodes.get(container)
        if node is not None:
            self._nodes.move_to_end(container)
        return node

    def note(self, container: str, node: str) -> None:
        """Remember a container's node."""
        self._nodes[container] = node
        if len(self._nodes) > _MOST_NODES:
            self._nodes.popitem(last=False)

    def forget(self, container: str) -> None:
        """Forget a removed container."""
        self._nodes.pop(container, None)

    def verdict(self, node: str, container: str) -> Verdict:
        """Whether that node holds that container."""
        return verdict(self._nodes.get(container), node)
