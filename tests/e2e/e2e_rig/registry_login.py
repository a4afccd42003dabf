"""A login at the suite's own registry, and what people use it with: skopeo and plain requests."""

import base64
import json
import os
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RegistryLogin:
    """`address` is the registry's HOST:PORT, plain HTTP."""

    address: str
    name: str
    password: str

    @classmethod
    def of(cls, address: str, said: str) -> "RegistryLogin":
        """The login of which `seaway user add --registry --json` or `rotate --json` speaks."""
        document = json.loads(said)
        return cls(address, document["name"], document["password"])

    def asked(self, path: str = "/v2/", method: str = "GET") -> tuple[int, bytes]:
        """Status and body of a request with this login."""
        given = base64.b64encode(f"{self.name}:{self.password}".encode()).decode()
        request = urllib.request.Request(
            f"http://{self.address}{path}", headers={"Authorization": f"Basic {given}"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return reply.status, reply.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def push(self, source: str, name: str, place: Path) -> subprocess.CompletedProcess[str]:
        """Copy an image there by skopeo; `place` is for its temporary files."""
        return _copy(place, "--dest-tls-verify=false", f"--dest-creds={self._creds}", source, self.image(name))

    def pull(self, name: str, target: str, place: Path) -> subprocess.CompletedProcess[str]:
        """Copy an image from there."""
        return _copy(place, "--src-tls-verify=false", f"--src-creds={self._creds}", self.image(name), target)

    def image(self, name: str) -> str:
        """Its name for skopeo and buildah."""
        return f"docker://{self.address}/{name}"

    @property
    def _creds(self) -> str:
        return f"{self.name}:{self.password}"


def _copy(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"TMPDIR": str(place), "HOME": str(place)}
    command = ["skopeo", "copy", "--insecure-policy", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
