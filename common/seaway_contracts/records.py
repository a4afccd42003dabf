"""Requests to metadata about containers' records, and their replies."""

from typing import Final

from pydantic import Field

from seaway_contracts.base import Payload
from seaway_contracts.containers import (
    ContainerRecord,
    ContainerSpec,
)
from seaway_contracts.networks import NetworkRecord
from seaway_contracts.volumes import VolumeRecord


class RegisterContainer(Payload):
    """Reserve the name and store the record, before the node makes the container."""

    spec: ContainerSpec
    node: str


class RegisteredContainer(Payload):
    """A registered container: its endpoints name networks by id, and have the addresses that were claimed for them.

    `networks`: those of users in which it has endpoints. `volumes`: those with a name that it mounts.
    """

    spec: ContainerSpec
    networks: tuple[NetworkRecord, ...] = ()
    volumes: tuple[VolumeRecord, ...] = ()


class ForgetContainer(Payload):
    """Undo the registration of a container that was never made, and free its name.

    `unheard`: the node may have made it, but can't be asked. It removes the container as soon as it can be reached.
    """

    id: str
    name: str = ""
    unheard: bool = False


GONE: Final = 1 << 53
"""In a basis: the asker knows that the container is removed."""


class ResolveContainer(Payload):
    """A container as a user names it: id, name, or prefix of an id.

    `basis`: the status numbers that the asker knows, by container; the reply must not be older.
    """

    ref: str
    basis: dict[str, int] = Field(default_factory=dict)


class ContainerLocation(Payload):
    """A container and the node that holds it."""

    id: str
    node: str
    name: str


class ListContainers(Payload):
    """Page through the records in order of creation, newest first: pass the `next` of the page before.

    `basis` as in ResolveContainer.
    """

    all: bool = True
    after: str = ""
    basis: dict[str, int] = Field(default_factory=dict)


class ContainerList(Payload):
    """Records, newest first; `next` continues the listing unless it is empty.

    Metadata sends each record on a line of its own (`page_lines`). The line changes only with the record.
    """

    containers: tuple[ContainerRecord, ...] = ()
    next: str = ""


PAGE_HEAD: Final = b'{"containers":[\n'


PAGE_COMMA: Final = b",\n"


PAGE_TAIL: Final = b'\n],"next":"'


def page_lines(page: bytes) -> tuple[list[bytes], str] | None:
    """The records' lines in a ContainerList, and its `next`; None if it has another form."""
    records, tail, following = page.rpartition(PAGE_TAIL)
    if not tail or not records.startswith(PAGE_HEAD):
        return None
    lines = records[len(PAGE_HEAD) :].split(PAGE_COMMA)
    return (lines if lines != [b""] else []), following.removesuffix(b'"}').decode()


class ListKnown(Payload):
    """The containers in a node's database."""

    ids: tuple[str, ...] = ()


class KnownContainers(Payload):
    """The records of containers that the node has reported, and the ids of those that it has removed."""

    containers: tuple[ContainerRecord, ...] = ()
    removed: tuple[str, ...] = ()
