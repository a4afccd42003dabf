"""The engines that are measured: Docker's daemon, podman's service and a fresh Seaway suite, in one small world.

They stand on the end-to-end tests' rig, each with directories of its own in a network namespace of its own.
"""

import os
import subprocess
from pathlib import Path

from e2e_rig.engine import Daemon, Engine

_STORAGE = '[storage]\ndriver = "overlay"\ngraphroot = "{root}/storage"\nrunroot = "{run}/storage"\n'
_CONTAINERS = """[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{run}/tmp"
static_dir = "{root}/libpod"
[containers]
log_driver = "k8s-file"
[network]
network_config_dir = "{root}/networks"
"""


class Podman(Engine):
    """podman's Docker API service with runc."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._service: Daemon | None = None

    def start(self) -> None:
        (self.root / "networks").mkdir()
        environment = os.environ | {"PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}
        for name, text in (("STORAGE", _STORAGE), ("CONTAINERS", _CONTAINERS)):
            path = self.root / f"{name.lower()}.conf"
            path.write_text(text.format(root=self.root, run=self.run))
            environment[f"CONTAINERS_{name}_CONF" if name == "STORAGE" else "CONTAINERS_CONF"] = str(path)
        words = ["unshare", "--mount", "podman", "system", "service", "--time=0", self.host]
        self._service = Daemon(words, self.run / "podman.log", environment)
        self._service.until(self.serves, "podman's service")

    def stop(self) -> None:
        if self._service is not None:
            self._service.stop()
            self._service = None

    def purge(self) -> None:
        if self._service is not None:
            self.api.remove_all()
        self.stop()
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            if (point := line.split()[1]).startswith((f"{self.run}/", f"{self.root}/")):
                subprocess.run(["umount", "--lazy", point], check=False)

    def processes(self) -> dict[str, int]:
        return {"podman": self._service.pid} if self._service else {}

    @property
    def cgroup_parent(self) -> str:
        return "libpod_parent"
