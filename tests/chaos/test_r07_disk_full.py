"""R7: each directory's disk full in turn: containers run on, exit codes are kept, errors are clear, all is mended."""

import http.client
import itertools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos_rig.clean import leaving_nothing
from chaos_rig.client import Client
from chaos_rig.figures import Figures
from chaos_rig.small_disk import SmallDisk
from chaos_rig.suite import ChaosSuite
from e2e_rig import images
from e2e_rig.waits import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]
_PATIENCE_S = 40.0
_TAR = {"Content-Type": "application/x-tar"}
_PLACES = {
    "agent-root": ("root/agent", 24),
    "agent-run": ("run/agent", 8),
    "nats": ("root/nats", 32),
    "image": ("root/image", 24),
    "metadata": ("root/metadata", 2),
}

_STEP_BY_STEP = ("agent-root", "agent-run", "image")
_LITTLE = (128 << 10, 64 << 10, 32 << 10, 16 << 10, 8 << 10, 4 << 10)
_LARGE = 256 << 10


@pytest.fixture(scope="module")
def small(chaos_directory: Path) -> Iterator[tuple[ChaosSuite, dict[str, SmallDisk]]]:
    """A suite of which each directory has a disk of its own."""
    suite = ChaosSuite(chaos_directory / "f")
    suite.start()
    suite.stop()  # now the directories are marked as a suite's, and can be mounted over
    disks: dict[str, SmallDisk] = {}
    try:
        for name, (place, mib) in _PLACES.items():
            disks[name] = SmallDisk(suite.root.parent / place, mib)
        suite.start()
        suite.warm()
        yield suite, disks
    finally:
        suite.stop()
        for disk in disks.values():
            disk.close()
        suite.purge()


class Scene:
    """Two containers that wait for a word each, and one that was not started, before the disk is full."""

    def __init__(self, suite: ChaosSuite, gates: Path, place: str) -> None:
        self.suite, self.client, self.place = suite, Client(suite.api), place
        self.since = time.time()
        self.gates = [gates / "ends", gates / "goes-on"]
        for gate in self.gates:
            os.mkfifo(gate)
        self.ends, self.goes_on = (self._waiting(gate, code) for gate, code in zip(self.gates, (7, 9), strict=True))
        self.idle = self.client.create(f"{place}-idle", "exit 0")
        self.pids = {each: int(self.client.state(each)["Pid"]) for each in (self.ends, self.goes_on)}
        self.refused: list[str] = []
        self.tags: list[str] = []
        self._numbers = itertools.count()

    def _waiting(self, gate: Path, code: int) -> str:
        script = f"read go < /gates/{gate.name}; exit {code}"
        container = self.client.create(f"{self.place}-{code}", script, Binds=[f"{gate.parent}:/gates"])
        self.client.start(container)
        return container

    def let_end(self) -> None:
        """The first container ends; the second one goes on."""
        self.gates[0].write_text("\n")
        eventually(lambda: not os.path.exists(f"/proc/{self.pids[self.ends]}"), "the end of the first container")

    def ask(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> None:
        """Something that may fail, with a sentence that says why, and soon."""
        began = time.monotonic()
        try:
            reply = self.suite.api.request(method, path, body, headers, timeout=_PATIENCE_S)
        except (OSError, http.client.HTTPException) as error:
            pytest.fail(f"{method} {path}: {error!r} after {time.monotonic() - began:.1f} s")
        text = reply.body.decode(errors="replace")
        if reply.status >= 500 or '"error"' in text:
            self.refused.append(f"{method} {path}: {text.strip()}")

    def ask_all(self) -> None:
        """Of everything a little."""
        long = {"filled": "x" * 8192}  # more than what may be left of a page
        body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}, "Labels": long}
        number = next(self._numbers)
        self.ask("POST", f"/containers/create?name={self.place}-more-{number}", body)
        self.ask("POST", f"/containers/{self.idle}/start")
        self.ask("GET", "/containers/json?all=1")
        self.ask("GET", f"/containers/{self.goes_on}/json")
        self.ask("POST", "/images/load", self._image(f"{self.place}-{number}"), _TAR)

    def _image(self, name: str) -> bytes:
        """One that nobody has seen, and for which little room isn't enough."""
        layer = images.Layer()
        layer.file("filled", name.encode().ljust(_LARGE))
        self.tags.append(f"{name}:1")
        return images.archive([images.busybox_layer(), layer.bytes()], {}, [f"{name}:1"])

    def mended(self) -> None:
        """All is well without anybody's help."""
        client = self.client
        self.suite.whole()
        assert client.wait(self.ends) == 7
        assert os.path.exists(f"/proc/{self.pids[self.goes_on]}")
        self.gates[1].write_text("\n")
        assert client.wait(self.goes_on) == 9
        client.start(self.idle)
        assert client.wait(self.idle) == 0
        for container in (self.ends, self.goes_on, self.idle):
            eventually(lambda container=container: "die" in client.told(self.since, container), "its die event")  # type: ignore[misc]
            created, *runs = client.told(self.since, container)
            assert created == "create" and runs == ["start", "die"] * (len(runs) // 2), (created, runs)
            assert len(runs) == 2 or container == self.idle
        reply = self.suite.api.request("POST", "/images/load", self._image(f"{self.place}-after"), _TAR)
        assert b'"error"' not in reply.body, reply
        assert {client.steadily("DELETE", f"/images/{tag}").status for tag in self.tags} <= {200, 404}
        after = client.create(f"{self.place}-after", "exit 4")
        client.start(after)
        assert client.wait(after) == 4


@pytest.mark.parametrize("place", list(_PLACES))
def test_r7_disk_full(
    small: tuple[ChaosSuite, dict[str, SmallDisk]], figures: Figures, tmp_path: Path, place: str
) -> None:
    suite, disks = small
    with leaving_nothing(suite):
        scene, blobs = Scene(suite, tmp_path, place), _blobs(suite)
        _fill_and_free(scene, disks[place])
        if place == "image":
            assert _blobs(suite) == blobs
        began = time.monotonic()
        scene.mended()
        took = time.monotonic() - began
    clear = ("space", "running out of disk", "try again")
    assert [text for text in scene.refused if not any(words in text for words in clear)] == []
    assert scene.refused or place == "metadata"
    said = f"{len(scene.refused)} requests refused, all for want of space" if scene.refused else "nothing refused"
    figures.show("R7", f"{place} full: both codes kept, {said}; mended in {took:.1f} s, nothing left")


def _fill_and_free(scene: Scene, disk: SmallDisk) -> None:
    """What happens, and what is asked, while there is no room."""
    place, suite = scene.place, scene.suite
    try:
        for size in _LITTLE if place in _STEP_BY_STEP else ():  # what is begun can't be brought to its end
            disk.fill(leaving=size)
            scene.ask_all()
        disk.fill()
        scene.let_end()
        if place == "metadata":
            _node_goes_and_comes(scene)
        scene.ask_all()
        disk.fill()
        if place in ("image", "metadata"):
            suite.restarted(place, suite.kill(place))
        scene.ask_all()
        assert os.path.exists(f"/proc/{scene.pids[scene.goes_on]}")
    finally:
        disk.free()


def _blobs(suite: ChaosSuite) -> set[str]:
    """What the image store holds, which the census leaves out, as it may be collected late."""
    return {path.name for path in (suite.root / "image" / "blobs" / "sha256").iterdir()}


def _node_goes_and_comes(scene: Scene) -> None:
    """Events of the node, for which metadata has no room."""
    agent = int(scene.suite.row("agent")["pid"])
    os.kill(agent, signal.SIGSTOP)
    try:
        eventually(lambda: "node n1: down (no beat" in _log(scene.suite), "the node to be marked down", 20)
    finally:
        os.kill(agent, signal.SIGCONT)
    eventually(lambda: "it beats again" in _log(scene.suite).rpartition("(no beat")[2], "the node's return", 20)


def _log(suite: ChaosSuite) -> str:
    return (suite.run / "log" / "metadata.log").read_text()
