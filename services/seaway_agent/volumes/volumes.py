"""Local volumes: directories below the node's root, named or anonymous.

A volume's directory holds its data and, for a while, a mark with the container for which it is made, and the copy of
the image's content (`filling`). The containers' specs say which volumes are in use.
"""

import asyncio
import contextlib
import logging
import os
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from seaway_agent.archive.view import Place, Stack, rootfs_of_stopped
from seaway_agent.kernel.clones import clone_below
from seaway_agent.rootfs import tree
from seaway_agent.rootfs.errors import StorageFull
from seaway_agent.rootfs.layers import FULL
from seaway_agent.runtime.contribution import Attachment
from seaway_agent.volumes import filling
from seaway_agent.volumes.binds import attachment_name, read_only_option
from seaway_contracts.containers import ContainerSpec, Mount
from seaway_contracts.errors import SeawayError, bad_request, internal, not_found, unavailable
from seaway_kit.failpoints import Failpoint, reach

log = logging.getLogger(__name__)
# No volume's name begins with a dot.
_NEW: Final = ".new-"
_TRASH: Final = ".trash-"
_FOR: Final = "for-"
_FILLED_AT_ONCE: Final = 4


@dataclass(frozen=True)
class VolumeMount:
    """A local volume: its data directory on the host.

    `recursively`: read-only with all mounts below. With a `subpath` only that is mounted, from the attachment of the
    bundle named `attachment`.
    """

    source: Path
    target: str
    read_only: bool
    recursively: bool = False
    subpath: str = ""
    attachment: str = ""


class Volumes:
    """The volumes of one node. Call `start` first, `close` last, and all in the event loop's thread."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._users: defaultdict[str, set[str]] = defaultdict(set)
        self._new: dict[str, str] = {}
        self._fillers = ThreadPoolExecutor(_FILLED_AT_ONCE, thread_name_prefix="fill-volume")
        self._remover = ThreadPoolExecutor(1, thread_name_prefix="remove-volume")
        self._closing = threading.Event()

    def start(self, specs: Iterable[ContainerSpec]) -> None:
        """Index the volumes in use, and recover from a former agent's end.

        Removes volumes of containers whose creation was not completed; finishes or removes copies under way.
        """
        known = set()
        for spec in specs:
            known.add(spec.id)
            for mount in _volumes(spec):
                self._users[mount.source].add(spec.id)
        for volume in list(self._root.iterdir()):
            if volume.name.startswith((_NEW, _TRASH)):
                self._remover.submit(_remove, volume)
            elif volume.is_dir() and not volume.is_symlink():
                self._recover(volume, known)

    def close(self) -> None:
        """Cancel copies under way, wait for removals."""
        self._closing.set()
        self._fillers.shutdown(cancel_futures=True)
        self._remover.shutdown()

    def path(self, name: str) -> Path:
        """A volume's data directory. Raises SeawayError for an invalid name."""
        if not name or name.startswith(".") or "/" in name or "\0" in name:
            raise bad_request(f"{name!r} is no volume name: use [a-zA-Z0-9][a-zA-Z0-9_.-]")
        return self._root / name / filling.DATA

    # --- a container's volumes

    def reserve(self, spec: ContainerSpec) -> None:
        """Make a new container's missing volumes, and protect all its volumes from removal.

        Call `commit` or `rollback` next. Raises SeawayError with nothing made.
        """
        try:
            for mount in _volumes(spec):
                self._make(mount.source, spec.id)
                reach(Failpoint.VOLUME_MADE)
                self._users[mount.source].add(spec.id)
        except BaseException:
            self.rollback(spec)
            raise

    async def fill(self, spec: ContainerSpec, layers: Stack, scratch: Path) -> None:
        """Fill its empty volumes from the image; `scratch` is an empty directory. Raises SeawayError."""
        wanted = [
            mount
            for mount in _volumes(spec)
            if not mount.no_copy and filling.is_empty(self.path(mount.source).parent, mount.subpath)
        ]
        if wanted:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._fillers, self._fill, wanted, layers, scratch)

    def new_for(self, spec: ContainerSpec) -> tuple[str, ...]:
        """The volumes that were made for this container, while its creation is under way."""
        return tuple(name for name, container in self._new.items() if container == spec.id)

    def commit(self, spec: ContainerSpec) -> None:
        """Keep the new volumes: the container is created."""
        for name in self.new_for(spec):
            self._unmark(name)

    def rollback(self, spec: ContainerSpec) -> None:
        """Remove the new volumes: the container's creation has failed."""
        self._remove_user(spec)
        for name in self.new_for(spec):
            del self._new[name]
            self._discard(name)

    def release(self, spec: ContainerSpec, *, anonymous: bool) -> tuple[str, ...]:
        """Release a removed container's volumes; the names of those that were removed with it.

        With `anonymous`, removes its anonymous volumes that no other container uses. Raises OSError; a retry is safe.
        """
        gone = [m.source for m in _volumes(spec) if anonymous and m.anonymous and self._users[m.source] <= {spec.id}]
        for name in gone:
            self._discard(name)
            reach(Failpoint.VOLUME_GONE)
        self._remove_user(spec)
        return tuple(dict.fromkeys(gone))

    def mounts(self, spec: ContainerSpec, *, rro: bool = False) -> tuple[VolumeMount, ...]:
        """The container's volumes as mounts; a missing volume is made anew."""
        found = []
        for mount in _volumes(spec):
            source = self.path(mount.source)
            source.mkdir(parents=True, exist_ok=True)
            attachment = attachment_name(mount) if mount.subpath else ""
            below = read_only_option(mount, rro=rro) == "rro"
            found.append(VolumeMount(source, mount.target, mount.read_only, below, mount.subpath, attachment))
        return tuple(found)

    def places(self, spec: ContainerSpec) -> tuple[Place, ...]:
        """The container's volumes, for a view of its files."""
        return tuple(Place(one.target, one.source, one.read_only, one.subpath) for one in self.mounts(spec))

    def attachments(self, spec: ContainerSpec) -> tuple[Attachment, ...]:
        """The subpaths of volumes, which the launcher attaches in the bundle."""
        return tuple(
            Attachment(attachment_name(mount), partial(_clone_subpath, str(self.path(mount.source)), mount.subpath))
            for mount in _volumes(spec)
            if mount.subpath
        )

    # --- steps

    def _recover(self, volume: Path, known: set[str]) -> None:
        """Recover a volume of a former agent."""
        try:
            names = {entry.name for entry in volume.iterdir()}
            for mark in (name for name in names if name.startswith(_FOR)):
                if mark.removeprefix(_FOR) not in known and volume.name not in self._users:
                    log.info("removes volume %s, whose container was never created", volume.name)
                    self._discard(volume.name)
                    return
                (volume / mark).unlink()
            if not names.isdisjoint((filling.FILLING, filling.FILLED)):
                filling.finish(volume)
        except OSError as error:
            log.error("volume %s: %s", volume.name, error)

    def _make(self, name: str, container: str) -> None:
        data = self.path(name)
        if data.is_dir():
            if self._new.get(name, container) != container:
                self._unmark(name)  # a second container uses it: the first one's failure must not remove it
            return
        try:
            if data.parent.exists():
                data.mkdir()
            else:
                self._make_new(data.parent, container)
        except OSError as error:
            text = f"volume {name} can't be made: {error.strerror}"
            raise StorageFull(text) if error.errno in FULL else internal(text) from error

    def _make_new(self, volume: Path, container: str) -> None:
        """Make a volume with its mark, in one step."""
        new = self._root / f"{_NEW}{os.urandom(8).hex()}"
        try:
            new.mkdir(mode=0o700)
            (new / filling.DATA).mkdir()
            (new / filling.DATA).chmod(0o755)
            (new / f"{_FOR}{container}").touch()
            new.rename(volume)
        except BaseException:
            _remove(new)
            raise
        self._new[volume.name] = container

    def _unmark(self, name: str) -> None:
        container = self._new.pop(name)
        try:
            (self._root / name / f"{_FOR}{container}").unlink(missing_ok=True)
        except OSError as error:
            log.error("volume %s: %s", name, error)

    def _fill(self, wanted: list[Mount], layers: Stack, scratch: Path) -> None:
        with rootfs_of_stopped(layers, scratch) as files:
            for mount in wanted:
                try:
                    filling.fill(self._root / mount.source, mount.subpath, files.root, mount.target, self._check_open)
                except OSError as error:
                    raise _refusal(mount, error) from error

    def _check_open(self) -> None:
        if self._closing.is_set():
            raise unavailable("the agent is ending")

    def _remove_user(self, spec: ContainerSpec) -> None:
        for mount in _volumes(spec):
            users = self._users[mount.source]
            users.discard(spec.id)
            if not users:
                del self._users[mount.source]

    def _discard(self, name: str) -> None:
        """Remove a volume: it is gone at once (one rename), its space a little later."""
        trash = self._root / f"{_TRASH}{os.urandom(8).hex()}"
        with contextlib.suppress(FileNotFoundError):
            (self._root / name).rename(trash)
            self._remover.submit(_remove, trash)


def _volumes(spec: ContainerSpec) -> Iterator[Mount]:
    return (mount for mount in spec.mounts if mount.type == "volume")


def _remove(path: Path) -> None:
    try:
        tree.remove(path)
    except OSError as error:
        log.warning("can't remove %s; the next start tries again: %s", path, error)


def _refusal(mount: Mount, error: OSError) -> SeawayError:
    """The error for a failed copy, in Docker's words where the image has no directory at the target."""
    if isinstance(error, NotADirectoryError):
        if mount.anonymous:
            return internal(f"cannot mount volume over existing file, file exists {mount.target}")
        return internal(f"source {mount.target} is not directory")
    text = f"volume {mount.source} can't be filled with what the image has at {mount.target}: {error.strerror}"
    return StorageFull(text) if error.errno in FULL else internal(text)


def _clone_subpath(volume: str, subpath: str) -> int:
    try:
        return clone_below(volume, subpath)
    except FileNotFoundError:
        raise not_found(
            f"cannot access path {volume}/{subpath}: lstat {volume}/{subpath}: no such file or directory"
        ) from None
