"""A stock buildkitd, as `tests/buildkit/compile.sh` makes it from Debian's sources."""

import os
import shutil
from pathlib import Path

import pytest
from e2e_rig.engine import Daemon

DIRECTORY = Path(os.environ.get("SEAWAY_BUILDKIT_CACHE", "/var/cache/seaway-buildkit"))


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
        words += ["--oci-worker-net", "host", "--containerd-worker=false", "--oci-worker-binary", "runc"]
        daemon = Daemon(words, self.directory / "buildkitd.log")
        daemon.until(self.socket.exists, "buildkitd's socket", 30)
        self._daemon = daemon

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


def need_buildkitd() -> None:
    """Skip the test where nobody has compiled one."""
    if not (DIRECTORY / "buildkitd").exists() or shutil.which("runc") is None:
        pytest.skip(f"there is no buildkitd in {DIRECTORY}: tests/buildkit/compile.sh makes one")
