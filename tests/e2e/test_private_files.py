"""What other users of the machine can read of a running suite: nothing but what is listed here."""

import contextlib
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_rig.docker_cli import DockerCli
from e2e_rig.seaway import Seaway

pytestmark = pytest.mark.seaway_only

_FOR_CONTAINERS = re.compile(
    r"/layers/[^/]+/(diff|init)$"  # an image's files, with the image's modes
    r"|/containers/[^/]+/upper$"  # a container's own files
    r"|/volumes/[^/]+/_data$"
    r"|/builds/(store|mounts)/[^/]+$"  # the builder's
    r"|/builds/w/[^/]+/[^/]+$"  # the same of a build that runs, or has just ended
    r"|/agent/[^/]+/empty$"  # what a container sees of an image without layers
    r"|/c/[^/]+/(hosts|hostname|resolv\.conf)$"  # bound over /etc in the container
)
"""What stands here is for users in containers; on the host its parent directory is closed to all but root."""
_OTHERS = stat.S_IROTH | stat.S_IWOTH


def open_to_others(path: Path) -> Iterator[Path]:
    """What has a mode by which others may read or write; nothing below what is listed."""
    with contextlib.suppress(FileNotFoundError):  # a file that was there for a moment
        status = path.lstat()
        if _FOR_CONTAINERS.search(str(path)):
            assert stat.S_IMODE(path.parent.stat().st_mode) & _OTHERS == 0
            return
        if not stat.S_ISLNK(status.st_mode) and status.st_mode & _OTHERS:
            yield path
        if stat.S_ISDIR(status.st_mode):
            for below in sorted(path.iterdir()):
                yield from open_to_others(below)


def modes(suite: Seaway, *names: str) -> dict[str, int]:
    return {name: stat.S_IMODE((suite.root.parent / name).stat().st_mode) for name in names}


def test_others_can_read_nothing(engine: Seaway, cli: DockerCli, name: str) -> None:
    cli("run", "-d", "--name", name, "-v", f"{name}:/v", "-e", "SECRET=1", "--health-cmd", "true", "busybox", "top")
    cli("run", "-dt", "--name", f"{name}-tty", "--log-opt", "max-size=1k", "--log-opt", "max-file=2", "busybox", "top")
    cli("exec", "-d", name, "sleep", "100")
    cli("exec", name, "touch", "/v/file")
    cli("commit", name, f"{name}:1")
    cli("build", "--tag", f"{name}:2", "-", input="FROM busybox\nRUN touch /x\n", DOCKER_BUILDKIT="0")
    try:
        assert list(open_to_others(engine.root)) == []
        assert list(open_to_others(engine.run)) == []
    finally:
        cli("rmi", f"{name}:1", f"{name}:2")
        cli("rm", "-f", "-v", name, f"{name}-tty")


def test_modes_of_state_and_sockets(engine: Seaway) -> None:
    node = f"agent/{engine.node}"
    databases = ("root/image/events.db", "root/metadata/outbox.db", f"root/{node}/agent.db")
    files = [f"{database}{suffix}" for database in databases for suffix in ("", "-wal", "-shm")]
    files += ["root/suite.json", "run/suite.json", "root/secrets/api", "run/nats/nats.conf", "run/control.sock"]
    assert set(modes(engine, *files).values()) == {0o600}
    closed = ["root", "root/secrets", "root/nats", "root/image", "root/metadata", "root/agent", f"root/{node}"]
    closed += ["run/agent", f"run/{node}", "run/log", "run/nats", "run/streams"]
    assert set(modes(engine, *closed).values()) == {0o700}
    assert modes(engine, "run", "run/docker.sock") == {"run": 0o711, "run/docker.sock": 0o660}
