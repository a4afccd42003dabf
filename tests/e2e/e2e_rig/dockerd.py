"""Docker's own daemon, with which the tests themselves are tested."""

import secrets
import subprocess
from pathlib import Path

from e2e_rig.engine import Daemon, Engine

_CONTAINERD = """version = 2
root = "{root}/ctrd"
state = "{run}/ctrd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{run}/containerd.sock"
"""


class Dockerd(Engine):
    """A private dockerd and containerd."""

    noise = ("/netns/",)  # collected by dockerd once a minute
    descriptor_slack = 4

    def __init__(self, directory: Path, metrics: str = "") -> None:
        """`metrics`: the address (HOST:PORT) at which it serves /metrics; it has none by default."""
        super().__init__(directory)
        self._metrics = metrics
        self._daemons: dict[str, Daemon] = {}
        self._parent = f"e2e-dockerd-{secrets.token_hex(4)}"

    def start(self) -> None:
        config, address = self.run / "containerd.toml", self.run / "containerd.sock"
        config.write_text(_CONTAINERD.format(root=self.root, run=self.run))
        containerd = Daemon(["containerd", "--config", str(config)], self.run / "containerd.log")
        containerd.until(address.exists, "containerd's socket")
        words = ["dockerd", "--containerd", str(address), "--data-root", f"{self.root}/docker"]
        words += ["--exec-root", f"{self.run}/x", "--pidfile", f"{self.run}/dockerd.pid", "-H", self.host]
        words += ["--cgroup-parent", self._parent, "--live-restore"]
        words += ["--metrics-addr", self._metrics] if self._metrics else []
        dockerd = Daemon(words, self.run / "dockerd.log")
        dockerd.until(self.serves, "dockerd's ping", 60)
        self._daemons = {"dockerd": dockerd, "containerd": containerd}

    def stop(self) -> None:
        for daemon in self._daemons.values():
            daemon.stop()
        self._daemons = {}

    def purge(self) -> None:
        if self._daemons:
            self.api.remove_all()
            self.stop()
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            if (point := line.split()[1]).startswith((f"{self.run}/", f"{self.root}/")):
                subprocess.run(["umount", "--lazy", point], check=False)
        for pattern in (self._parent, f"*/{self._parent}"):
            for path in Path("/sys/fs/cgroup").glob(pattern):
                path.rmdir()

    def processes(self) -> dict[str, int]:
        return {name: daemon.pid for name, daemon in self._daemons.items()}

    @property
    def cgroup_parent(self) -> str:
        return self._parent
