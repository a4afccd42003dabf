"""A node whose `ps` hangs: who asks for processes waits, and nobody else."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from e2e_rig import images
from e2e_rig.docker_cli import DockerCli
from e2e_rig.seaway import Seaway
from e2e_rig.waits import eventually

pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines]
_ASKING = 8
_HANGS_S = 9


@pytest.fixture
def cli(e2e_directory: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[DockerCli]:
    """Of a suite that has a slow `ps`, which notes that it was called."""
    place = e2e_directory / f"{name}-bin"
    place.mkdir()
    (place / "ps").write_text(f"#!/bin/sh\necho >> {place}/called\nexec sleep {_HANGS_S}\n")
    (place / "ps").chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    suite = Seaway(e2e_directory / name)
    suite.start()
    made = DockerCli(suite.host, place)
    made("load", input=images.busybox_archive())
    yield made
    suite.purge()


def test_containers_end_while_ps_hangs(cli: DockerCli, name: str) -> None:
    cli("run", "-d", "--name", name, "busybox", "sleep", "600")
    called = Path(cli.environment["HOME"]) / "called"
    with ThreadPoolExecutor(_ASKING) as threads:
        asked = [threads.submit(cli.try_, "top", name) for _ in range(_ASKING)]
        eventually(lambda: called.exists() and len(called.read_text()) >= 4, "as many calls as there are threads")
        began = time.monotonic()
        cli("run", "--rm", "busybox", "true")
        assert time.monotonic() - began < _HANGS_S / 2
        assert all(asking.result().code for asking in asked)
