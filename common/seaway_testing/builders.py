"""Payloads with sensible content, of which a test gives only what matters to it."""

import hashlib
from typing import Any, Final

from seaway_contracts.containers import (
    Command,
    ContainerNetworking,
    ContainerRecord,
    ContainerSpec,
    ContainerStatus,
    EndpointSpec,
    ImageUse,
    State,
)
from seaway_contracts.images import ImageConfig, ImageRecord, Layer
from seaway_contracts.lifecycle import ContainerEvent, Envelope
from seaway_contracts.networks import network_id
from seaway_contracts.nodes import Beat, Capacity, NodeFacts, NodeRecord
from seaway_testing.clock import START_NS

GIB: Final = 1 << 30


def container_id(seed: int | str = 1) -> str:
    """A container id that is always the same for a seed."""
    return hashlib.sha256(f"container {seed}".encode()).hexdigest()


def digest(seed: int | str = 1) -> str:
    """A digest that is always the same for a seed."""
    return "sha256:" + hashlib.sha256(f"blob {seed}".encode()).hexdigest()


def spec(seed: int | str = 1, **changes: Any) -> ContainerSpec:
    """A container of busybox on the bridge; `changes` are fields of ContainerSpec."""
    plain: dict[str, Any] = {
        "id": container_id(seed),
        "name": f"box{seed}",
        "created_ns": START_NS + (seed if isinstance(seed, int) else 0),
        "image": ImageUse(ref="busybox:latest", id=digest("config"), layers=(layer(),)),
        "command": Command(cmd=("sh",), env=("PATH=/bin",)),
        "network": networking(),
    }
    return ContainerSpec(**(plain | changes))


def networking(mode: str = "bridge", **changes: Any) -> ContainerNetworking:
    """A container's networking for a Docker network mode; `changes` are fields of ContainerNetworking."""
    if mode == "none":
        return ContainerNetworking(**changes)
    if mode == "host" or mode.startswith("container:"):
        return ContainerNetworking(sandbox=mode, **changes)
    return ContainerNetworking(**{"endpoints": (EndpointSpec(network=mode, network_id=network_id(mode)),), **changes})


def status(state: State = State.CREATED, seq: int = 1, **changes: Any) -> ContainerStatus:
    """A status; `changes` are fields of ContainerStatus."""
    return ContainerStatus(state=state, seq=seq, **changes)


def record(seed: int | str = 1, node: str = "n1", state: State = State.CREATED, seq: int = 0) -> ContainerRecord:
    """A container as metadata knows it."""
    return ContainerRecord(spec=spec(seed), node=node, status=status(state, seq))


def layer(seed: int | str = 1) -> Layer:
    """One gzipped layer."""
    kind = "application/vnd.oci.image.layer.v1.tar+gzip"
    return Layer(digest=digest(seed), size=1234, media_type=kind, diff_id=digest(f"{seed} unpacked"))


def image(seed: int | str = 1, **changes: Any) -> ImageRecord:
    """An image of one layer; `changes` are fields of ImageRecord."""
    plain: dict[str, Any] = {
        "id": digest(f"config {seed}"),
        "repo_tags": (f"box{seed}:latest",),
        "created_ns": START_NS,
        "size": 4567,
        "config": ImageConfig(cmd=("sh",), env=("PATH=/bin",)),
        "layers": (layer(seed),),
    }
    return ImageRecord(**(plain | changes))


def beat(node: str = "n1", **changes: Any) -> Beat:
    """A heartbeat of an idle node of 4 cores and 8 GiB; `changes` are fields of Beat."""
    whole = Capacity(nano_cpus=4_000_000_000, memory=8 * GIB)
    plain: dict[str, Any] = {
        "node": node,
        "epoch": f"{node}-epoch-1",
        "inventory": 1,
        "time_ns": START_NS,
        "interval_ns": 1_000_000_000,
        "capacity": whole,
        "free": whole,
        "running": 0,
        "containers": 0,
        "facts": NodeFacts(hostname=node),
    }
    return Beat(**(plain | changes))


def node_record(node: str = "n1", *, up: bool = True, **changes: Any) -> NodeRecord:
    """A node as metadata knows it; `changes` are fields of its beat."""
    last = beat(node, **changes)
    state = "up" if up else "down"
    return NodeRecord(node=node, state=state, last_beat_ns=last.time_ns, since_ns=last.time_ns, beat=last)


def container_event(
    action: str, body: ContainerStatus, *, seed: int | str = 1, node: str = "n1", event_id: str = ""
) -> tuple[Envelope, ContainerEvent]:
    """A container event's two halves."""
    envelope = Envelope(
        id=event_id or f"{container_id(seed)[:12]}{body.seq % 16**12:012x}",
        node=node,
        noun="container",
        action=action,
        subject_id=container_id(seed),
        time_ns=START_NS + body.seq,
        seq=body.seq,
    )
    return envelope, ContainerEvent(status=body)
