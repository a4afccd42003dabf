"""Every service at its start on data of a later release: it ends with one sentence, and not a byte is changed."""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from tests.integration.forked import Forked

from seaway_agent.kernel import tmpfs
from seaway_agent.layout import Layout
from seaway_agent.state.database import open_database
from seaway_bus.bus import Bus
from seaway_bus.outbox import open_outbox
from seaway_cli.main import main as seaway
from seaway_cli.suite import Suite
from seaway_contracts.catalogue import BUCKETS, BucketConfig
from seaway_metadata.store.stored import encode
from seaway_testing.builders import node_record
from seaway_testing.nats_server import NatsServer

pytestmark = pytest.mark.root
_PATIENT_S = 30.0
_LATER = "was written by a later release (schema {}, this one knows 1): start that release again"


def database(path: Path, opened: Callable[[Path], sqlite3.Connection]) -> Path:
    path.parent.mkdir(parents=True)
    with contextlib.closing(opened(path)) as db:
        db.execute("PRAGMA user_version = 7")
    return path


def image_table(path: Path) -> Path:
    path.parent.mkdir(parents=True)
    path.write_text('{"version": 7, "what": "else"}')
    return path


FILES: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "agent": ("agent", lambda root: database(root / "agent" / "n1" / "agent.db", open_database)),
    "image-names": ("image", lambda root: image_table(root / "image" / "names.json")),
    "image-events": ("image", lambda root: database(root / "image" / "events.db", open_outbox)),
    "metadata": ("metadata", lambda root: database(root / "metadata" / "outbox.db", open_outbox)),
}


@pytest.fixture
def places(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A root, and a run directory on which an agent may have mounted one."""
    root, run = tmp_path / "root", tmp_path / "run"
    yield root, run
    mounted = Layout.of(root, run, "n1").run
    if mounted.exists():
        tmpfs.unmount(str(mounted))


def ended(service: str, nats: NatsServer, places: tuple[Path, Path]) -> tuple[int, list[str]]:
    """A service's exit code, and what it says of why it can't run."""
    root, run = places
    log = root.parent / f"{service}.log"
    words = ["--nats", nats.url, "--root", str(root), "--run", str(run), "--node", "n1"]
    process = Forked(f"seaway_{service}.main", words, log)
    try:
        code = process.wait(_PATIENT_S)
    finally:
        process.kill()
    text = log.read_text()
    assert "Traceback" not in text
    return code, [line for line in text.splitlines() if "can't run" in line]


@pytest.mark.parametrize("name", list(FILES))
async def test_files(nats: NatsServer, places: tuple[Path, Path], name: str) -> None:
    service, made = FILES[name]
    path = made(places[0])
    before = path.read_bytes()
    code, (sentence,) = ended(service, nats, places)
    assert code == 1
    assert f"{path} {_LATER.format(7)}" in sentence
    assert path.read_bytes() == before


_MODELS: Final = {
    "seaway_nodes": ("NodeRecord", "n1"),
    "seaway_node_settings": ("NodeSettings", "n1"),
    "seaway_cluster": ("ClusterSettings", "cluster"),
    "seaway_networks": ("NetworkRecord", "b" * 64),
    "seaway_volumes": ("VolumeRecord", "b" * 64),
}
_LEFT_ALONE: Final = (
    "seaway_names",
    "seaway_addresses",
    "seaway_network_names",
    "seaway_subnets",
    "seaway_volume_names",
    "seaway_shares",
    "seaway_tokens",
    "seaway_identities",
    "seaway_users",
)


@pytest.mark.parametrize("bucket", [one for one in BUCKETS if one.name not in _LEFT_ALONE], ids=lambda one: one.name)
async def test_records(nats: NatsServer, places: tuple[Path, Path], connect_bus: object, bucket: BucketConfig) -> None:
    bus: Bus = await connect_bus()  # type: ignore[operator]
    stored = await bus.transport.bucket(bucket)
    later = encode(node_record()).replace(b'{"v":1', b'{"v":7')
    model, key = _MODELS.get(bucket.name, ("ContainerRecord", "c" * 64))
    await stored.create(key, later)
    code, (sentence,) = ended("metadata", nats, places)
    assert code == 1
    assert f"a {model} of schema 7: this release knows 1; update it" in sentence
    assert [entry.value async for entry in stored.entries()] == [later]


@pytest.mark.parametrize("command", ["up", "purge"])
def test_a_suite(places: tuple[Path, Path], capfd: pytest.CaptureFixture[str], command: str) -> None:
    root, run = places
    path = root / "suite.json"
    root.mkdir()
    Suite("a1b2c3", 1).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 7}))
    before = path.read_text()
    assert seaway([command, "--root", str(root), "--run", str(run)]) == 1
    said = capfd.readouterr().err
    assert f"{path} {_LATER.format(7)}" in said and "Traceback" not in said
    assert path.read_text() == before


def test_a_purge_beside_a_nodes_database(places: tuple[Path, Path], capfd: pytest.CaptureFixture[str]) -> None:
    """What it would have to remove on the host stands there, in a form that it can't read."""
    root, run = places
    Suite("a1b2c3", 1).save(_in(root) / "suite.json")
    path = database(root / "agent" / "n1" / "agent.db", open_database)
    assert seaway(["purge", "--root", str(root), "--run", str(run)]) == 1
    said = capfd.readouterr().err
    assert f"nothing was removed: {path} {_LATER.format(7)}" in said
    assert path.exists()
    path.write_text("no database at all, and long enough to see that")
    assert seaway(["purge", "--root", str(root), "--run", str(run)]) == 1
    assert "can't be read: file is not a database" in capfd.readouterr().err


def _in(directory: Path) -> Path:
    directory.mkdir(parents=True)
    return directory
