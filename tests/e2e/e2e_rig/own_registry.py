"""A suite whose registry people log in to."""

from pathlib import Path

from e2e_rig.registry_login import RegistryLogin
from e2e_rig.seaway import Finished, Seaway, seaway


class Suite(Seaway):
    """Its registry is at `port`, or, for 0, at any free one."""

    def __init__(self, directory: Path, port: int = 0) -> None:
        super().__init__(directory, up=("--registry-port", str(port)))

    @property
    def registry(self) -> str:
        """HOST:PORT of the registry, as `seaway status` shows it."""
        return str(self.row("image")["registry"]).removeprefix("http://")

    def user(self, verb: str, name: str, *words: str) -> Finished:
        return seaway("user", verb, name, *words, "--run", str(self.run))

    def login(self, name: str, rights: str) -> RegistryLogin:
        done = self.user("add", name, "--registry", rights, "--json")
        assert (done.returncode, done.stderr) == (0, "")
        return RegistryLogin.of(self.registry, done.stdout)
