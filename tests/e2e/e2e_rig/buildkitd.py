"""A stock buildkitd, as `tests/buildkit/compile.sh` makes it from Debian's sources: a process, or an image."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from e2e_rig.engine import Daemon
from e2e_rig.images import Layer, archive, busybox_layer

DIRECTORY = Path(os.environ.get("SEAWAY_BUILDKIT_CACHE", "/var/cache/seaway-buildkit"))
IMAGE = "moby/buildkit:compiled"
_LIBRARY = re.compile(r"(/\S+) \(0x")


class Buildkitd:
    """One buildkitd on this machine, with directories of its own. Its steps run in the caller's network."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "buildkitd.sock"
        self._daemon: Daemon | None = None

    @property
    def place(self) -> str:
        """What `--buildkit` is set to."""
        return f"unix://{self.socket}"

    def start(self) -> None:
        self.directory.mkdir(exist_ok=True)
        words = [str(DIRECTORY / "buildkitd"), "--addr", self.place, "--root", str(self.directory / "root")]
        words += ["--oci-worker-net", "host", "--containerd-worker=false", "--oci-worker-binary", "runc", "--debug"]
        daemon = Daemon(words, self.directory / "buildkitd.log")
        daemon.until(self.socket.exists, "buildkitd's socket", 30)
        self._daemon = daemon

    def ctl(self, *words: str) -> None:
        """Run buildctl here."""
        subprocess.run(
            [DIRECTORY / "buildctl", "--addr", self.place, *words], check=True, capture_output=True, timeout=120
        )

    def log(self) -> str:
        """What it has said."""
        return (self.directory / "buildkitd.log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._daemon is not None, "buildkitd isn't started"
        return self._daemon.pid

    def stop(self) -> None:
        if self._daemon is not None:
            self._daemon.stop()
            self._daemon = None


def builder_archive() -> bytes:
    """An image like moby/buildkit: buildkitd, buildctl and runc over busybox."""
    programs = {"buildkitd": DIRECTORY / "buildkitd", "buildctl": DIRECTORY / "buildctl", "buildkit-runc": _runc()}
    layer = Layer()
    for name, path in programs.items():
        layer.file(f"usr/bin/{name}", path.read_bytes(), 0o755)
    libraries = {one for path in programs.values() for one in _LIBRARY.findall(_ldd(path))}
    for library in sorted(libraries):
        layer.file(library.removeprefix("/"), Path(library).read_bytes(), 0o755)
    return archive([busybox_layer(), layer.bytes()], {"Entrypoint": ["buildkitd"]}, [IMAGE])


def _ldd(path: Path) -> str:
    return subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout


def _runc() -> Path:
    return Path(shutil.which("runc") or "/usr/sbin/runc")


def need_buildkitd() -> None:
    """Skip the test where nobody has compiled one."""
    if not all((DIRECTORY / name).exists() for name in ("buildkitd", "buildctl")) or not _runc().exists():
        pytest.skip(f"there is no buildkitd in {DIRECTORY}: tests/buildkit/compile.sh makes one")
