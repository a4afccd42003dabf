"""A registry, on loopback unless told otherwise, filled by skopeo."""

import os
import subprocess
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from e2e_rig.waits import eventually
from seaway_testing.ports import free_port


@dataclass
class Registry:
    """Debian's docker-registry; `address` is HOST:PORT, plain HTTP."""

    address: str
    _process: subprocess.Popen[bytes]
    _log: Path

    @classmethod
    def start(cls, directory: Path, host: str = "127.0.0.1", port: int = 0) -> "Registry":
        """Start one that keeps its files in `directory`; returns when it answers. `port` 0 is any free one."""
        address = f"{host}:{port or free_port()}"
        config = directory / "registry.yml"
        config.write_text(
            "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
            f"storage:\n  filesystem: {{rootdirectory: {directory}/data}}\n  delete: {{enabled: true}}\n"
            f'http: {{addr: "{address}"}}\n'
        )
        log = directory / "registry.log"
        with open(log, "wb") as out:
            process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=out, stderr=out)
        registry = cls(address, process, log)
        eventually(registry._answers, f"docker-registry ({log})")
        return registry

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"docker-registry has ended: {self._log.read_text()}")
        try:
            with urllib.request.urlopen(f"http://{self.address}/v2/", timeout=1) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    def push(self, archive: bytes, name: str) -> str:
        """Store a docker-archive as `name` (`repository:tag`); gives the manifest's digest."""
        with tempfile.TemporaryDirectory() as place:
            source, digest = Path(place, "image.tar"), Path(place, "digest")
            source.write_bytes(archive)
            where = f"docker://{self.address}/{name}"
            words = ["copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false", f"--digestfile={digest}"]
            environment = os.environ | {"TMPDIR": place}
            subprocess.run(["skopeo", *words, f"docker-archive:{source}", where], check=True, env=environment)
            return digest.read_text().strip()

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)
