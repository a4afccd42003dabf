"""The builder's store on this node: the cache of steps, and what killed builds left in it. All of it blocks.

The builder's own files say what there is (containers/storage: images.json, layers.json); only the builder removes.
"""

import contextlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from seaway_agent.build import files
from seaway_agent.kernel.launcher import Launcher
from seaway_agent.kernel.spawn import spawn
from seaway_contracts.builds import CachedStep
from seaway_contracts.errors import internal
from seaway_kit.private_files import make_private_directory, write_private

log = logging.getLogger(__name__)
_SHORT: Final = 12
_AT_ONCE: Final = 100
_MOST_ERROR: Final = 4096
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(frozen=True)
class BuildStore:
    """The store below `root`. `self_copying`: the runtimes that are made read-only in a launcher's namespace."""

    buildah: str
    root: Path
    self_copying: Sequence[str] = ()

    @property
    def directory(self) -> Path:
        """The builder's root."""
        return self.root / "store"

    # --- what is there

    def steps(self, used: dict[str, int]) -> list[CachedStep]:
        """The images of steps and bases, the latest used first. `used`: when, by the first digits of their ids."""
        layers = {str(one.get("id")): one for one in self._read("overlay-layers/layers.json")}
        images = self._read("overlay-images/images.json")
        found = [_step(image, layers, used) for image in images]
        return sorted(found, key=lambda step: (step.used_ns, step.created_ns), reverse=True)

    def size(self) -> int:
        """The bytes of all layers."""
        return sum(int(one.get("diff-size") or 0) for one in self._read("overlay-layers/layers.json"))

    def _read(self, name: str) -> list[dict[str, Any]]:
        try:
            found = json.loads((self.directory / name).read_bytes())
        except (OSError, ValueError):
            return []
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    # --- removing

    def remove_images(self, ids: Sequence[str]) -> None:
        """Remove cached steps. Raises SeawayError."""
        for at in range(0, len(ids), _AT_ONCE):
            self._run(["rmi", "--force", *ids[at : at + _AT_ONCE]])

    def remove_containers(self, ids: Iterable[str] | None = None) -> None:
        """Remove what killed builds left: of these working containers, or of all. Raises SeawayError."""
        there = {str(one.get("id")) for one in self._read("overlay-containers/containers.json")}
        there |= {str(one.get("id")) for one in self._read("overlay-containers/volatile-containers.json")}
        gone = sorted(there if ids is None else there & set(ids))
        if gone:
            log.info("removing %d working containers of builds that were killed", len(gone))
            self._run(["rm", *gone])

    def sweep(self) -> None:
        """At an agent's start: remove all directories of builds, and their containers. Raises SeawayError, OSError."""
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self.root / "w"):
                shutil.rmtree(entry.path)
        if self.buildah:
            self.remove_containers()

    def _run(self, words: list[str]) -> None:
        """Run the builder in a mount namespace that ends with it: it mounts its store on itself."""
        make_private_directory(self.root / "w")
        directory = Path(tempfile.mkdtemp(prefix="m-", dir=self.root / "w"))
        launcher = Launcher("build-store", self.self_copying)
        try:
            for name in ("runroot", "tmp", "home", "empty"):
                (directory / name).mkdir(mode=0o700)
            for name in ("registries.conf", "containers.conf"):
                write_private(directory / name, b"")
            write_private(directory / "storage.conf", b'[storage]\ndriver = "overlay"\n')
            launcher.start()
            self._run_in(launcher, directory, words)
        finally:
            launcher.close()
            shutil.rmtree(directory, ignore_errors=True)

    def _run_in(self, launcher: Launcher, directory: Path, words: list[str]) -> None:
        argv = [*files.global_words(self.buildah, self.directory, directory), *words]
        with tempfile.TemporaryFile(dir=directory) as output:
            child = launcher.call(
                spawn,
                argv,
                env=files.environment(directory),
                cwd=str(directory),
                fds={1: output.fileno(), 2: output.fileno()},
            ).result()
            os.close(child.pidfd)
            _, status = os.waitpid(child.pid, 0)
            if code := os.waitstatus_to_exitcode(status):
                output.seek(max(0, output.seek(0, os.SEEK_END) - _MOST_ERROR))
                said = output.read().decode(errors="replace").strip()
                raise internal(f"the builder's store can't be cleaned (code {code}): {said}")


def _step(image: dict[str, Any], layers: dict[str, dict[str, Any]], used: dict[str, int]) -> CachedStep:
    layer = layers.get(str(image.get("layer")), {})
    identifier, created = str(image.get("id")), _time_ns(str(image.get("created") or ""))
    names = image.get("names") or []
    return CachedStep(
        id=identifier,
        parent=str(layer.get("parent") or ""),
        description=str(names[0]) if names else "a step of a build",
        created_ns=created,
        used_ns=used.get(identifier[:_SHORT], created),
        size=int(layer.get("diff-size") or 0),
    )


def _time_ns(text: str) -> int:
    """RFC 3339 with nanoseconds; 0 for anything else."""
    head, dot, rest = text.removesuffix("Z").partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))] if dot else ""
    try:
        seconds = (datetime.fromisoformat(f"{head.partition('+')[0]}+00:00") - _EPOCH).total_seconds()
    except ValueError:
        return 0
    return int(seconds) * 1_000_000_000 + int((digits + "0" * 9)[:9] or 0)


def oldest(steps: Sequence[CachedStep], size: int, keep: int) -> list[str]:
    """The ids to remove, the least recently used first, until `keep` of `size` bytes are left."""
    gone: list[str] = []
    for step in reversed(steps):
        if size <= keep:
            break
        gone.append(step.id)
        size -= step.size
    return gone


def wanted(steps: Iterable[CachedStep], ids: Collection[str] | None, before_ns: int) -> list[CachedStep]:
    """Those of the given ids (or their beginnings), last used before that time (0: at any)."""
    return [
        step
        for step in steps
        if (ids is None or any(step.id.startswith(one) for one in ids)) and (not before_ns or step.used_ns < before_ns)
    ]
