"""An agent that joined by a token, with all services."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest
from docker.models.containers import Container
from tests.integration.cli.bus_users import nats_url

from seaway_cli import demo_image
from seaway_testing.waiting import wait

pytestmark = pytest.mark.root
COMMANDS = Path(sys.executable).parent


def seaway(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(COMMANDS / "seaway"), *words], capture_output=True, text=True, timeout=110)


class Whole:
    """A whole suite with node n1, and directories for n2."""

    def __init__(self, base: Path) -> None:
        self.root, self.run = base / "root", base / "run"
        self.places = ("--root", str(self.root), "--run", str(self.run))
        self.others = ("--root", str(base / "n2" / "root"), "--run", str(base / "n2" / "run"))
        self.config = base / "n2" / "root" / "join" / "agent.toml"
        self.log = base / "agent.log"
        self.agent: subprocess.Popen[bytes] | None = None

    def start_agent(self) -> None:
        with self.log.open("wb") as out:
            words = [str(COMMANDS / "seaway-agent"), "--config", str(self.config)]
            self.agent = subprocess.Popen(words, stdout=out, stderr=out)
        wait(lambda: "is ready" in self.log.read_text(), self.log.read_text)


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Whole]:
    made = Whole(tmp_path)
    try:
        yield made
    finally:
        if made.agent is not None:
            made.agent.kill()
            made.agent.wait()
        for places in (made.others, made.places):
            done = seaway("purge", *places)
            assert done.returncode == 0, done.stderr


@pytest.mark.timeout(240)
def test_an_agent_that_joined_runs_what_its_labels_ask_for_and_its_doctor_finds_all_well(whole: Whole) -> None:
    started = seaway("up", "--detach", "--node", "n1", *whole.places)
    assert started.returncode == 0, started.stderr
    client = docker.DockerClient(base_url=f"unix://{whole.run}/docker.sock", timeout=60)
    busybox = demo_image.find_busybox()
    client.images.load(demo_image.archive(busybox.read_bytes(), demo_image.applets(busybox)))
    made = seaway("token", "create", "--label", "disk=ssd", "--label", 'rack=r"1"', *whole.places)
    token = made.stdout.split("--token ")[1].split()[0]
    done = seaway("join", nats_url(whole), "--token", token, "--node", "n2", *whole.others)
    assert done.returncode == 0, done.stderr

    def run(condition: str) -> Container:
        words = {"environment": [f"constraint:{condition}"], "detach": True, "network_mode": "none"}
        return client.containers.run("busybox", ["sleep", "1000"], **words)

    with pytest.raises(docker.errors.APIError, match=r"node\.labels\.disk"):
        run("node.labels.disk==ssd")
    whole.start_agent()

    def listed() -> list[dict[str, Any]]:
        return list(json.loads(seaway("node", "ls", "--json", *whole.places).stdout))

    wait(lambda: len(listed()) == 2)
    (n1, n2) = listed()
    assert (n1["identity"], n2["identity"]["token"]) == (None, token.split("-")[1])
    assert n2["labels"] == {"disk": "ssd", "rack": 'r"1"'}, "with the record that its first beat makes"
    for condition, node in (("node.labels.disk==ssd", "n2"), ("node.labels.disk!=ssd", "n1")):
        placed = run(condition)
        assert placed.attrs["Node"]["Name"] == node
        assert placed.exec_run(["echo", "hello"]) == (0, b"hello\n")
    examined = seaway("doctor", *whole.others)
    assert (examined.returncode, "FAIL" in examined.stdout) == (0, False), examined.stdout
    assert "images: http://" in examined.stdout
    client.close()
