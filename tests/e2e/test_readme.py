"""The README's commands, typed as they stand there: they print what it says."""

import os
import re
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_rig.tour import Step, blocks
from e2e_rig.waits import eventually

pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines]
_TOP = Path(__file__).parents[2]
_PLACES = {"root": Path("/var/lib/seaway"), "run": Path("/run/seaway")}
_HOSTNAME = "debian"
_TYPED_S = 60.0


class Reader:
    """Somebody at a root shell, in whose world the suite's usual places are empty directories of the test."""

    def __init__(self, directory: Path) -> None:
        self._screen = directory / "screen"
        below = "|".join(f"^{place}/" for place in _PLACES.values())  # of a suite that runs on this machine
        hidden = f"awk '$2 ~ \"{below}\" {{print $2}}' /proc/mounts | sort -r | xargs -r umount --lazy"
        binds = "; ".join(f"mount --bind {directory / name} {place}" for name, place in _PLACES.items())
        words = ["unshare", "--mount", "--uts", "--propagation", "private", "bash", "-c"]
        words.append(f"{hidden}; {binds}; echo {_HOSTNAME} >/proc/sys/kernel/hostname; exec bash --noprofile --norc")
        with self._screen.open("wb") as screen:
            plain = {k: v for k, v in os.environ.items() if not k.startswith(("SEAWAY_", "DOCKER_"))}
            plain["SEAWAY_LOG_FORMAT"] = "text"  # as on the reader's terminal
            self._shell = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=screen, stderr=screen, cwd=_TOP, env=plain, text=True
            )
        self.type(Step("set -m"))

    def seen(self) -> str:
        """All that has been printed."""
        return self._screen.read_text(errors="replace")

    def follow(self, step: Step, since: int) -> bool:
        """Type it; whether all its lines are on the screen, since this had `since` characters, after a while.

        What only looks is typed again, as a reader would who was faster than what is looked at.
        """
        self.type(step)
        try:
            return eventually(lambda: self._sees(step, since) or (_looks(step) and self._again(step)), timeout=20)
        except TimeoutError:
            return False

    def _sees(self, step: Step, since: int) -> bool:
        return all(re.search(line, self.seen()[since:]) for line in step.printed)

    def _again(self, step: Step) -> bool:
        self.type(step)
        return False

    def type(self, step: Step) -> None:
        """One command, until it has ended."""
        mark = f"done-{secrets.token_hex(8)}"
        command = f"timeout -s INT 4 {step.command}" if step.interrupted else step.command
        assert self._shell.stdin is not None
        self._shell.stdin.write(f"{command}\necho {mark}\n")
        self._shell.stdin.flush()
        eventually(lambda: mark in self.seen(), f"the end of: {step.command}; seen: {self.seen()[-2000:]}", _TYPED_S)

    def told(self, command: str) -> str:
        """What one command prints; it must not fail."""
        before = len(self.seen())
        self.type(Step(f"{command} || echo failed with $?"))
        text = self.seen()[before:].rpartition("done-")[0]
        assert "failed with" not in text, f"{command}: {text}"
        return text.strip()

    def leave(self) -> None:
        """Close the shell."""
        assert self._shell.stdin is not None
        self._shell.stdin.close()
        self._shell.wait(_TYPED_S)


@pytest.fixture
def reader(e2e_directory: Path, name: str) -> Iterator[Reader]:
    """A reader, after whom nothing is left."""
    directory = e2e_directory / name
    made = [place for place in _PLACES.values() if not place.exists()]
    for which, place in _PLACES.items():
        (directory / which).mkdir(parents=True)
        place.mkdir(parents=True, exist_ok=True)
    someone = Reader(directory)
    try:
        yield someone
    finally:
        someone.type(Step("kill $(jobs -p) 2>/dev/null; wait; ./dev purge"))
        someone.leave()
        for place in made:
            place.rmdir()
    left = [path for which in _PLACES for path in (directory / which).iterdir()]
    assert not left, someone.seen()[-2000:]


@pytest.mark.timeout(300)
def test_the_tour(reader: Reader) -> None:
    for block in blocks(_TOP / "README.md"):
        before = len(reader.seen())
        for step in block.steps:
            if not reader.follow(step, before):
                where = f"README.md's block at line {block.line}: {step.command}"
                pytest.fail(f"{where}\nprinted {reader.seen()[before:]}\nnot {step.printed}", pytrace=False)


@pytest.mark.timeout(300)
def test_up_twice_and_down_twice(reader: Reader) -> None:
    """The second of each does no harm, and containers don't notice either."""
    assert "Seaway is ready" in reader.told("./dev up")
    reader.told("export DOCKER_HOST=unix:///run/seaway/docker.sock PATH=$PWD/.venv/bin:$PATH")
    reader.told("docker run -d --name stays busybox sleep 600")
    pid = reader.told("docker inspect -f '{{.State.Pid}}' stays")
    status = reader.told("seaway status")
    again = reader.told("./dev up")
    assert "A suite already runs in /run/seaway." in again and "it said: Hello from a container." in again
    assert reader.told("seaway status") == status
    assert "Seaway has stopped; containers go on." in reader.told("./dev down")
    assert "No suite runs in /run/seaway." in reader.told("./dev down")
    assert reader.told(f"kill -0 {pid}") == ""
    assert "Seaway is ready" in reader.told("./dev up")
    assert reader.told("docker inspect -f '{{.State.Pid}} {{.State.Status}}' stays") == f"{pid} running"


def _looks(step: Step) -> bool:
    return step.command.startswith(("docker logs", "docker ps", "docker events", "seaway status", "curl"))
