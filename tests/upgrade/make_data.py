"""Writes what this release keeps on its disks and in its buckets: `python -m tests.upgrade.make_data DIRECTORY`.

Run once, when a release changes how something is kept, into a directory of its own: the ones before stay as they are.
"""

import json
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any

from seaway_agent.core.instructions import PendingDisconnect, Waiter
from seaway_agent.state.database import Store, open_database
from seaway_bus.outbox import Outbox, open_outbox
from seaway_cli.suite import Suite
from seaway_contracts import catalogue
from seaway_contracts.base import Payload
from seaway_contracts.channels import BucketConfig
from seaway_contracts.containers import ContainerStatus, Resources, RestartPolicy, State
from seaway_contracts.execs import ExecInfo, ExecSpec, ExecState, ExecStatus
from seaway_contracts.images import ImageEvent
from seaway_contracts.joining import JoinToken, NodeIdentity
from seaway_contracts.lifecycle import ContainerEvent, Envelope
from seaway_contracts.networks import HeldSubnet, NetworkRecord, Pool, Subnets
from seaway_contracts.node_settings import ClusterSettings, NodeSettings
from seaway_contracts.nodes import NodeEvent
from seaway_contracts.users import BusUser
from seaway_contracts.volumes import VolumeRecord
from seaway_docker.references import parse_reference
from seaway_image.oci.digests import Digest
from seaway_image.store.names import NameTable, StoredImage, StoredLayer
from seaway_kit.tasks import Tasks
from seaway_metadata.events.history_share import MARK_BYTES, Mark, Marks
from seaway_metadata.kinds.containers import ADDRESSES, NAMES, AddressHolder, NameHolder, record_json, spec_json
from seaway_metadata.kinds.networks import NETWORK_NAMES, NetworkNameHolder
from seaway_metadata.kinds.volumes import VOLUME_NAMES, VolumeNameHolder
from seaway_metadata.store.stored import HORIZON_KEY, Horizon, encode, stamp
from seaway_testing import builders
from seaway_testing.clock import START_NS
from seaway_testing.fake_transport import FakeServer, FakeTransport

NETWORK = NetworkRecord(id="b" * 64, name="back", created_ns=START_NS, pools=(Pool(subnet="10.1.0.0/24"),))
VOLUME = VolumeRecord(
    id="d" * 64, name="data", created_ns=START_NS, node="n1", labels={"a": "1"}, options={"type": "tmpfs"}
)
NAMELESS = VolumeRecord(id="e" * 64, name="e" * 64, created_ns=START_NS, node="n1", anonymous=True)
SETTINGS = NodeSettings(node="n1", labels={"disk": "ssd"}, availability="drain", version=1, command="c9")
DISCONNECT = PendingDisconnect(NETWORK.id, Waiter("c8", "me"))
STATES = {1: State.CREATED, 2: State.RUNNING, 3: State.EXITED, 4: State.RESTARTING}


def spec(seed: int) -> Any:
    """A container with something in many of its fields."""
    return builders.spec(
        seed,
        labels={"team": "blue"},
        restart=RestartPolicy(name="on-failure", max_retries=3),
        resources=Resources(memory=64 << 20, nano_cpus=500_000_000),
    )


def status(seed: int) -> ContainerStatus:
    """What it is now."""
    state = STATES[seed]
    ended = {"exit_code": 137, "oom_killed": True, "finished_ns": START_NS + 9} if seed > 2 else {}
    return builders.status(state, seq=seed * 2, run=seed - 1, pid=4711 if seed == 2 else 0, **ended)


def event(action: str, body: ContainerStatus, seed: int) -> tuple[Envelope, ContainerEvent]:
    """One of its events, as the agent tells it."""
    envelope, made = builders.container_event(action, body, seed=seed, event_id=f"{seed:012x}{body.seq:012x}")
    changed = spec(seed) if action in ("rename", "update") else None
    return envelope, made.model_copy(update={"spec": changed, "attributes": {"name": "box"}})


def _dump(db: sqlite3.Connection) -> str:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    return "\n".join([*db.iterdump(), f"PRAGMA user_version = {version};", ""])


def _agent(path: Path) -> str:
    db = open_database(path)
    store, outbox = Store(db), Outbox(db, FakeTransport(FakeServer()), Tasks("data"), tells=True)
    for seed in STATES:
        store.add(spec(seed), status(seed), ("/layers/top", "/layers/bottom"))
        outbox.add(catalogue.CONTAINER_CREATE, *event("create", builders.status(seq=1), seed))
    outbox.add(catalogue.CONTAINER_RENAME, *event("rename", status(2), 2))
    outbox.add(catalogue.CONTAINER_DIE, *event("die", status(3), 3))
    exec_id = builders.container_id(2)[:32] + "0" * 32
    times = {"started_ns": START_NS, "ended_ns": START_NS + 1}
    ended = ExecStatus(state=ExecState.ENDED, command="c5", pid=12, exit_code=3, **times)
    store.put_exec(ExecInfo(container=builders.container_id(2), spec=ExecSpec(id=exec_id, args=("ls",)), status=ended))
    store.put_outcome("c7", status(2))
    store.put_network(NETWORK)
    store.put_pending_disconnect(builders.container_id(2), DISCONNECT)
    for name, value in {"boot": "b-1", "suite": "a1b2c3", "subnet": "172.18.0.0/16"}.items():
        store.put_fact(name, value)
    return _dump(db)


def _outbox(path: Path) -> str:
    db = open_outbox(path)
    outbox = Outbox(db, FakeTransport(FakeServer()), Tasks("data"))
    pulled = Envelope("e1", "n1", "image", "pull", builders.digest("config").removeprefix("sha256:"), START_NS)
    outbox.tell(catalogue.IMAGE_PULL, pulled, ImageEvent(image_id=builders.digest("config"), ref="busybox:latest"))
    joined = Envelope("node-n1-join-first", "n1", "node", "join", "n1", START_NS)
    outbox.tell(catalogue.NODE_JOIN, joined, NodeEvent(node="n1", reason="its first beat"))
    return _dump(db)


def _buckets() -> dict[str, dict[str, str]]:
    made = {seed: {"spec": spec(seed), "status": status(seed)} for seed in STATES}
    records = {seed: builders.record(seed).model_copy(update=fields) for seed, fields in made.items()}
    containers = {one.id: stamp(record_json(one, spec_json(one.spec))).decode() for one in records.values()}
    names = {
        NAMES.key(one.spec.name): encode(NameHolder(id=one.id, since_ns=START_NS)).decode() for one in records.values()
    }
    return {
        catalogue.CONTAINERS_BUCKET.name: containers | {HORIZON_KEY: encode(Horizon(seq=42)).decode()},
        catalogue.NAMES_BUCKET.name: names,
        **_networks(),
        **_volumes(),
        **_joined(),
        catalogue.NODES_BUCKET.name: {"n1": encode(builders.node_record()).decode()},
        catalogue.NODE_SETTINGS_BUCKET.name: {"n1": encode(SETTINGS).decode()},
        catalogue.CLUSTER_BUCKET.name: {"cluster": encode(ClusterSettings(strategy="binpack", version=1)).decode()},
        catalogue.SHARES_BUCKET.name: {"n1": encode(Marks(marks=(Mark(seq=40, size=MARK_BYTES),))).decode()},
    }


def _networks() -> dict[str, dict[str, str]]:
    held = HeldSubnet(subnet=NETWORK.pools[0].subnet, network=NETWORK.id, since_ns=START_NS)
    named = NetworkNameHolder(id=NETWORK.id, since_ns=START_NS)
    address = AddressHolder(id=builders.container_id(2), since_ns=START_NS)
    found: dict[BucketConfig, tuple[str, Payload]] = {
        catalogue.NETWORKS_BUCKET: (NETWORK.id, NETWORK),
        catalogue.NETWORK_NAMES_BUCKET: (NETWORK_NAMES.key(NETWORK.name), named),
        catalogue.SUBNETS_BUCKET: ("all", Subnets(held=(held,))),
        catalogue.ADDRESSES_BUCKET: (ADDRESSES.key(f"{NETWORK.id}/10.1.0.2"), address),
    }
    return {bucket.name: {key: encode(value).decode()} for bucket, (key, value) in found.items()}


def _volumes() -> dict[str, dict[str, str]]:
    named = VolumeNameHolder(id=VOLUME.id, since_ns=START_NS)
    records = {one.id: encode(one).decode() for one in (VOLUME, NAMELESS)}
    return {
        catalogue.VOLUMES_BUCKET.name: records,
        catalogue.VOLUME_NAMES_BUCKET.name: {VOLUME_NAMES.key(VOLUME.name): encode(named).decode()},
    }


def _joined() -> dict[str, dict[str, str]]:
    key, labels = "U" + "A" * 55, {"disk": "ssd"}
    token = JoinToken(
        id="a" * 12, hash="b" * 64, created_ns=START_NS, expires_ns=1 << 62, uses=2, labels=labels, joined={"n9": key}
    )
    identity = NodeIdentity(node="n9", public_key=key, since_ns=START_NS, token=token.id, labels=labels)
    user = BusUser(name="bob", public_key=key[:-1] + "B", created_ns=START_NS, events=("container.die",), nodes=("n9",))
    return {
        catalogue.TOKENS_BUCKET.name: {token.id: encode(token).decode()},
        catalogue.IDENTITIES_BUCKET.name: {identity.node: encode(identity).decode()},
        catalogue.USERS_BUCKET.name: {user.name: encode(user).decode()},
    }


def _images() -> NameTable:
    config, layer, tar = [Digest(builders.digest(seed)) for seed in ("config", 1, "d")]
    stored = StoredLayer(
        digest=layer,
        size=1234,
        media_type=builders.layer().media_type,
        diff_id=tar,
        diff_size=9,
    )
    image = StoredImage(id=config, manifest=Digest(builders.digest("manifest")), layers=(stored,))
    table = NameTable().with_image(image).with_tag(parse_reference("busybox:latest"), config, START_NS)
    return table.with_digest(parse_reference("busybox"), Digest(builders.digest("manifest")), config)


def main(directory: Path) -> None:
    """Write all of it."""
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        (directory / "agent.sql").write_text(_agent(Path(scratch, "agent.db")))
        (directory / "outbox.sql").write_text(_outbox(Path(scratch, "outbox.db")))
    (directory / "buckets.json").write_text(json.dumps(_buckets(), indent=1) + "\n")
    (directory / "names.json").write_text(_images().model_dump_json() + "\n")
    Suite("a1b2c3", 14222).save(directory / "suite.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
