"""Which containers `GET /containers/json` shows (moby daemon/list.go, by behaviour)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from seaway_docker.errors import InvalidParameter
from seaway_docker.filters import Filters
from seaway_docker.ports import parse_port_range, split_proto_port

STATES = frozenset(["created", "restarting", "running", "removing", "paused", "exited", "dead"])
HEALTH_STATES = frozenset(["starting", "healthy", "unhealthy", "none"])
_WHOLE_ID = re.compile(r"[0-9a-f]{64}")
_WHOLE_NAME = re.compile(r"\^/?([a-zA-Z0-9][a-zA-Z0-9_-]*)\$")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class ContainerFacts:
    """What is compared. `names` without slashes, ports as `80/tcp`, `volumes` names or host paths and destinations."""

    id: str
    names: tuple[str, ...]
    image_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    state: str = "created"
    exit_code: int = 0
    started: bool = False
    created_ns: int = 0
    health: str = "none"
    volumes: frozenset[str] = frozenset()
    networks: Mapping[str, str] = field(default_factory=dict)
    """name -> network id"""
    published: frozenset[str] = frozenset()
    """container ports that have a binding"""
    exposed: frozenset[str] = frozenset()
    is_task: bool = False


@dataclass(frozen=True, slots=True)
class ContainerQuery:
    """A validated filter. `before`, `since` and `ancestor` name other objects; the caller looks them up (404 if a
    container is missing, no error for an image) and hands the results to `resolved`."""

    filters: Filters
    exit_codes: frozenset[int]
    publish: frozenset[str]
    expose: frozenset[str]
    is_task: bool | None
    before: str | None
    since: str | None
    ancestors: tuple[str, ...]
    before_ns: int | None = None
    since_ns: int | None = None
    ancestor_ids: frozenset[str] = frozenset()

    @property
    def includes_stopped(self) -> bool:
        """A status filter implies `all=1`."""
        return "status" in self.filters

    @property
    def takes_all(self) -> bool:
        """Whether there is nothing to compare."""
        return not self.filters.values

    @property
    def only(self) -> str | None:
        """The id or the name of the one container that can match, if the filter says so."""
        ids, names = self.filters.get("id"), self.filters.get("name")
        if len(ids) == 1 and _WHOLE_ID.fullmatch(ids[0]):
            return ids[0]
        whole = _WHOLE_NAME.fullmatch(names[0]) if len(names) == 1 else None
        return whole[1] if whole else None

    def resolved(
        self,
        *,
        before_ns: int | None = None,
        since_ns: int | None = None,
        ancestor_ids: frozenset[str] = frozenset(),
    ) -> "ContainerQuery":
        """Creation times of the named containers, ids of the named images and their descendants."""
        return replace(self, before_ns=before_ns, since_ns=since_ns, ancestor_ids=ancestor_ids)

    def matches(self, facts: ContainerFacts) -> bool:
        """Whether the container is one of those that are asked for."""
        return (
            self.may_match(facts.id, facts.names)
            and self.filters.exact("status", facts.state)
            and self.filters.exact("health", facts.health)
            and self.filters.labels(facts.labels)
            and (self.is_task is None or facts.is_task == self.is_task)
            and self._exited(facts)
            and self._age(facts)
            and (not self.ancestors or facts.image_id in self.ancestor_ids)
            and self._attached(facts)
        )

    def may_match(self, identifier: str, names: Iterable[str]) -> bool:
        """Whether a container of this id and these names can match; it is known without its other facts."""
        ids = self.filters.get("id")
        if ids and not any(prefix and identifier.startswith(prefix) for prefix in ids):
            return False
        return any(self.filters.pattern("name", name) or self.filters.pattern("name", f"/{name}") for name in names)

    def _exited(self, facts: ContainerFacts) -> bool:
        if not self.exit_codes:
            return True
        running = facts.state in ("running", "paused", "restarting")
        return facts.started and not running and facts.exit_code in self.exit_codes

    def _age(self, facts: ContainerFacts) -> bool:
        if self.before_ns is not None and facts.created_ns >= self.before_ns:
            return False
        return self.since_ns is None or facts.created_ns > self.since_ns

    def _attached(self, facts: ContainerFacts) -> bool:
        volumes = self.filters.get("volume")
        if volumes and facts.volumes.isdisjoint(volumes):
            return False
        networks = self.filters.get("network")
        if networks and not any(_on_network(facts, value) for value in networks):
            return False
        if self.publish and facts.published.isdisjoint(self.publish):
            return False
        return not self.expose or not facts.exposed.isdisjoint(self.expose)


def container_query(filters: Filters) -> ContainerQuery:
    """Validate the values. Raises InvalidParameter with Docker's texts."""
    for value in filters.get("status"):
        if value not in STATES:
            raise InvalidParameter(f"invalid filter 'status={value}'")
    for value in filters.get("health"):
        if value not in HEALTH_STATES:
            raise InvalidParameter(f"unrecognized filter value for health: {value}")
    return ContainerQuery(
        filters=filters,
        exit_codes=frozenset(_exit_code(value) for value in filters.get("exited")),
        publish=_ports(filters, "publish"),
        expose=_ports(filters, "expose"),
        is_task=filters.boolean("is-task", False) if "is-task" in filters else None,
        before=next(iter(filters.get("before")[-1:]), None),
        since=next(iter(filters.get("since")[-1:]), None),
        ancestors=filters.get("ancestor"),
    )


def _on_network(facts: ContainerFacts, value: str) -> bool:
    if value in facts.networks:
        return True
    return any(network_id and network_id.startswith(value) for network_id in facts.networks.values())


def _exit_code(text: str) -> int:
    if _INTEGER.fullmatch(text) is None:
        raise InvalidParameter(f"invalid filter 'exited={text}': strconv.Atoi: parsing \"{text}\": invalid syntax")
    return int(text)


def _ports(filters: Filters, key: str) -> frozenset[str]:
    ports: set[str] = set()
    for value in filters.get(key):
        if ":" in value:
            raise InvalidParameter(f"filter for '{key}' should not contain ':': {value}")
        proto, text = split_proto_port(value)
        try:
            first, last = parse_port_range(text)
        except InvalidParameter as error:
            raise InvalidParameter(f"error while looking up for {key} {value}: {error}") from error
        ports.update(f"{number}/{proto}" for number in range(first, last + 1))
    return frozenset(ports)
