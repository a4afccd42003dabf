"""A suite whose registry people log in to."""

from pathlib import Path

from e2e_rig.registry_login import RegistryLogin
from e2e_rig.seaway import Finished, Seaway, seaway
from seaway_testing.ports import free_port


class Suite(Seaway):
    """One whose registry is at a port that is known."""

    def __init__(self, directory: Path) -> None:
        port = free_port()
        super().__init__(directory, up=("--registry-port", str(port)))
        self.registry = f"127.0.0.1:{port}"

    def user(self, verb: str, name: str, *words: str) -> Finished:
        return seaway("user", verb, name, *words, "--run", str(self.run))

    def login(self, name: str, rights: str) -> RegistryLogin:
        done = self.user("add", name, "--registry", rights, "--json")
        assert (done.returncode, done.stderr) == (0, "")
        return RegistryLogin.of(self.registry, done.stdout)
