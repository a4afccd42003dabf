"""Where things of one node are on disk. Two nodes on one machine share nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from seaway_kit.private_files import make_private_directory


@dataclass(frozen=True)
class Layout:
    """`root` survives a reboot; `run` is on tmpfs and doesn't."""

    root: Path
    run: Path

    @classmethod
    def of(cls, root: Path, run: Path, node: str) -> "Layout":
        """The node's own places below the suite's root and run directories."""
        return cls(root / "agent" / node, run / "agent" / node)

    @property
    def database(self) -> Path:
        """Specs, statuses and the outbox."""
        return self.root / "agent.db"

    @property
    def layers(self) -> Path:
        """Unpacked image layers."""
        return self.root / "layers"

    @property
    def containers(self) -> Path:
        """Writable layers and logs."""
        return self.root / "containers"

    @property
    def volumes(self) -> Path:
        """Local volumes."""
        return self.root / "volumes"

    @property
    def builds(self) -> Path:
        """Builds of images, their store and cache."""
        return self.root / "builds"

    @property
    def exits(self) -> Path:
        """conmon's exit files, named after containers."""
        return self.run / "exits"

    @property
    def bundles(self) -> Path:
        """OCI bundles."""
        return self.run / "c"

    def bundle(self, container: str) -> Path:
        """One container's bundle, with its pid files and attach socket."""
        return self.bundles / container

    @property
    def execs(self) -> Path:
        """The directories of execs."""
        return self.run / "x"

    def exec_bundle(self, identifier: str) -> Path:
        """All about one exec: its process, attach socket, pid file, exit file."""
        return self.execs / identifier

    @property
    def scratch(self) -> Path:
        """An empty directory to mount on, in mount namespaces of their own."""
        return self.run / "view"

    def persist(self, container: str) -> Path:
        """conmon's persist directory: exit and OOM files."""
        return self.run / "persist" / container

    def runtime_root(self, runtime: str) -> Path:
        """The OCI runtime's own state: a directory per container."""
        return self.run / runtime

    def state_root(self, runtime: str, container: str) -> Path:
        """The `--root` that the runtime is called with. gVisor's makes files there, and no directory."""
        root = self.runtime_root(runtime)
        return root / container if runtime == "runsc" else root

    @property
    def cgroup_parents(self) -> Path:
        """Which cgroups above containers' have been made."""
        return self.run / "cgroup-parents"

    def log(self, container: str) -> Path:
        """A container's output."""
        return self.containers / container / "ctr.log"

    def make_run(self) -> None:
        """Make the run directory, on which a tmpfs may be mounted next."""
        make_private_directory(self.run)

    def make(self, runtimes: Iterable[str] = ()) -> None:
        """Make the directories that must be there; nobody but root may look in."""
        self.make_run()
        ours = (self.root, self.layers, self.containers, self.volumes, self.exits, self.bundles, self.execs)
        for path in (*ours, *map(self.runtime_root, runtimes)):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in (self.run / "persist", self.scratch):
            path.mkdir(exist_ok=True, mode=0o700)
