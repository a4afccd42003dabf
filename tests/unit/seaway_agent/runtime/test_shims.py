"""Shims are found by their command lines, each by the node whose it is."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from seaway_agent.kernel import procs
from seaway_agent.kernel.procs import Process
from seaway_agent.runtime import shims

CONTAINER = "c" * 64


class Conmons:
    """Processes that are called as conmon is."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, bundle: str, *further: str) -> Process:
        words = ["conmon", "-c", "import time; time.sleep(60)", "-c", CONTAINER, *further, "-b", bundle]
        self.started.append(subprocess.Popen(words, executable=sys.executable))
        line = Path("/proc", str(self.started[-1].pid), "cmdline")
        while os.fsencode(bundle) not in line.read_bytes():  # an exec has succeeded a moment before it is seen there
            time.sleep(0.001)
        process = procs.find(self.started[-1].pid)
        assert process is not None
        return process


@pytest.fixture
def conmons() -> Iterator[Conmons]:
    made = Conmons()
    yield made
    for process in made.started:
        process.kill()
        process.wait()


def test_a_node_finds_its_own_and_not_those_of_a_run_directory_that_ends_like_it(conmons: Conmons) -> None:
    ours = conmons.start("/run/seaway/agent/n1/c/x", "-u", CONTAINER)
    theirs = conmons.start("/srv/b/run/seaway/agent/n1/c/x", "-u", CONTAINER)
    assert shims.shims_below(Path("/run/seaway/agent/n1")) == {CONTAINER: ours}
    assert shims.shims_below(Path("/srv/b/run/seaway/agent/n1")) == {CONTAINER: theirs}
    assert shims.shims_below(Path("/run/seaway/agent/n")) == {}


def test_execs_are_told_from_containers(conmons: Conmons) -> None:
    ours = conmons.start("/run/seaway/agent/n1/x/e", "-u", "exec", "-e")
    assert shims.shims_below(Path("/run/seaway/agent/n1")) == {}
    assert shims.exec_shims_below(Path("/run/seaway/agent/n1")) == {"exec": ours}


def test_only_the_process_that_was_found_is_killed(conmons: Conmons) -> None:
    shim = conmons.start("/run/seaway/agent/n1/c/x", "-u", CONTAINER)
    shims.end_with_children(Process(shim.pid, shim.started - 1))
    assert procs.alive(*shim)
    shims.end_with_children(shim)
    assert not procs.alive(*shim)


def test_all_below_a_shim_goes_with_it() -> None:
    child = subprocess.Popen(["sh", "-c", "sleep 60 & sleep 60 & wait"])
    shim = procs.find(child.pid)
    assert shim is not None
    while len(below := procs.children(child.pid)) < 2:
        pass
    shims.end_with_children(shim)
    assert not any(procs.alive(*process) for process in (shim, *below))
    child.wait()
