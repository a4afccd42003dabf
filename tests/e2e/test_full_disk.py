"""The disk of a node's agent is full: what runs goes on, commands say why they fail, and all mends itself."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_rig import images
from e2e_rig.docker_cli import DockerCli
from e2e_rig.seaway import Seaway
from e2e_rig.waits import eventually
from test_events import past

pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines]
_ROOM = "24m"


class Disk:
    """A small file system below the agent's root directory."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._filler = place / "filler"
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_ROOM}", "small", str(place)], check=True)

    def fill(self) -> None:
        """Leave not a byte; also not those that come free meanwhile."""
        with open(self._filler, "ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue

    def free(self) -> None:
        """Give the room back."""
        self._filler.unlink()

    def close(self) -> None:
        """Unmount it."""
        subprocess.run(["umount", str(self._place)], check=True)


@pytest.fixture
def suite(e2e_directory: Path, name: str) -> Iterator[Seaway]:
    """A suite whose agent has a disk of its own, below its root directory."""
    made = Seaway(e2e_directory / name)
    made.start()
    yield made
    made.purge()


@pytest.fixture
def disk(suite: Seaway) -> Iterator[Disk]:
    suite.stop()
    made = Disk(suite.root / "agent")
    try:
        suite.start()
        yield made
        suite.api.remove_all()
    finally:
        suite.stop()
        made.close()


@pytest.fixture
def cli(suite: Seaway, disk: Disk, docker_config: Path) -> DockerCli:
    made = DockerCli(suite.host, docker_config)
    made("load", "-q", input=images.busybox_archive())
    return made


def waiting(cli: DockerCli, gate: Path, code: int) -> str:
    """A container that ends with that code once the gate is there."""
    script = f"until test -e /gates/{gate.name}; do sleep 0.05; done; exit {code}"
    return cli("run", "-d", "-v", f"{gate.parent}:/gates", "busybox", "sh", "-c", script).out


def test_a_full_disk_at_the_agent(suite: Seaway, disk: Disk, cli: DockerCli, tmp_path: Path) -> None:
    since = time.time()
    ends, goes_on = (waiting(cli, tmp_path / name, code) for name, code in (("one", 7), ("two", 9)))
    idle = cli("create", "busybox", "true").out
    pids = [cli("inspect", each, "--format", "{{.State.Pid}}").out for each in (ends, goes_on)]
    agent = int(suite.row("agent")["pid"])
    disk.fill()
    refused = cli.try_("create", "busybox", "true")
    assert refused.code == 1 and "free space on its disk" in refused.err
    (tmp_path / "one").touch()
    eventually(lambda: not os.path.exists(f"/proc/{pids[0]}"), "the end of the first container")
    eventually(lambda: suite.row("agent")["pid"] not in (agent, 0), "the next agent")
    for words in (("start", idle), ("stop", "-t", "0", goes_on), ("rm", idle), ("logs", goes_on)):
        refused = cli.try_(*words)
        assert refused.code == 1 and "no space left on the disk" in refused.err, (words, refused)
    assert os.path.exists(f"/proc/{pids[1]}")
    disk.free()
    assert cli("wait", ends).out == "7"
    (tmp_path / "two").touch()
    assert cli("wait", goes_on).out == "9"
    cli("start", idle)
    assert cli("wait", idle).out == "0"
    assert cli("run", "--rm", "busybox", "echo", "again").out == "again"
    for container in (ends, goes_on, idle):
        told = [event["Action"] for event in past(suite.api, since, container=container, type="container")]
        assert told == ["create", "start", "die"]
    assert len(cli("ps", "-aq").lines) == 3


def test_output_goes_on_while_its_log_has_no_room(suite: Seaway, disk: Disk, cli: DockerCli, tmp_path: Path) -> None:
    """What is written then isn't kept; a client that is attached has it, and later output is in the log again."""
    gates = f"{tmp_path}:/gates"
    step = "i=$((i+1)); echo $i; echo $i > /gates/count; sleep 0.002"
    script = f"i=0; until [ -e /gates/end ]; do {step}; done; echo last"
    container = cli("run", "-d", "-v", gates, "busybox", "sh", "-c", script).out
    pid = int(cli("inspect", container, "--format", "{{.State.Pid}}").out)

    def count() -> int:
        return int(eventually((tmp_path / "count").read_text, "a count"))  # empty while it is written

    eventually(lambda: count() > 100, "the first lines")
    disk.fill()
    full = count()
    eventually(lambda: count() > full + 1000, "output without room", 30)
    assert os.path.exists(f"/proc/{pid}")
    disk.free()
    eventually(lambda: cli.try_("exec", container, "true").code == 0, "an agent that serves", 40)
    freed = count()
    eventually(lambda: count() > freed + 100, "more output")
    (tmp_path / "end").touch()
    assert cli("wait", container).out == "0"
    kept = cli("logs", container).lines
    assert kept[0] == "1" and kept[-1] == "last" and len(kept) > 200
