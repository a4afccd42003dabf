"""Containers' records, found by what users call them; and the other containers with which one is made."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from types import MappingProxyType

from seaway_bus.bus import Bus
from seaway_cluster.request import CompanionRefs, Companions
from seaway_contracts import catalogue as cat
from seaway_contracts.containers import ContainerRecord, Mount
from seaway_contracts.errors import Code, SeawayError, bad_request
from seaway_contracts.records import ListContainers, ResolveContainer

FindRecord = Callable[[str], Awaitable[ContainerRecord]]
"""The record of a container by id, name or prefix of an id. Raises SeawayError(NOT_FOUND)."""


def metadata_records(bus: Bus) -> FindRecord:
    """Ask metadata each time: for whoever remembers no records."""

    async def find(ref: str) -> ContainerRecord:
        return await bus.call(cat.GET_CONTAINER, ResolveContainer(ref=ref))

    return find


async def all_containers(
    bus: Bus, *, stopped: bool = True, basis: Mapping[str, int] = MappingProxyType({})
) -> AsyncIterator[ContainerRecord]:
    """All containers, newest first; without `stopped` those that run. Raises SeawayError.

    `basis`: what the asker knows already, as in ListContainers.
    """
    after, more = "", True
    while more:
        page = await bus.call(cat.LIST_CONTAINERS, ListContainers(all=stopped, after=after, basis=dict(basis)))
        for record in page.containers:
            if not record.discarded:
                yield record
        after, more = page.next, bool(page.next)


async def find_companions(find: FindRecord, refs: CompanionRefs) -> Companions:
    """Look them up. Raises SeawayError(BAD_REQUEST) where one isn't there, or they are on several nodes."""
    named = dict.fromkeys((*refs.joined, *(ref for ref, _ in refs.mounted)))
    records = {ref: await _companion(find, ref) for ref in named}
    records |= {ref: await _companion(find, ref, f"could not get container for {ref}: ") for ref in refs.linked}
    nodes = {record.node for record in records.values()}
    if len(nodes) > 1:
        raise bad_request(f"the containers {', '.join(records)} are on different nodes and can't be shared together")
    return Companions(
        ids={ref: record.id for ref, record in records.items()},
        names={ref: records[ref].spec.name for ref in refs.linked},
        mounts=tuple(one for ref, read_only in refs.mounted for one in _taken_over(records[ref], read_only)),
        node=next(iter(nodes), None),
        on_host=frozenset(ref for ref, record in records.items() if record.spec.network.sandbox == "host"),
    )


async def _companion(find: FindRecord, ref: str, head: str = "") -> ContainerRecord:
    """Not a 404 if it isn't there: upon that, Docker's clients would pull the image."""
    try:
        return await find(ref)
    except SeawayError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        raise bad_request(head + error.message) from error


def _taken_over(record: ContainerRecord, read_only: bool) -> Iterable[Mount]:
    """Anonymous ones stay so: whoever is the last to be removed with its volumes takes them along, as with Docker."""
    return [
        mount.model_copy(update={"read_only": mount.read_only or read_only, "no_copy": True, "shown_mode": ""})
        for mount in record.spec.mounts
        if mount.type != "tmpfs"
    ]
