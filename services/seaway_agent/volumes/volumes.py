"""Local volumes of one node: which containers have them, and when they are made and removed.

A volume belongs to all containers of this node whose spec names it, stopped ones too. It is never removed before them.
"""

import asyncio
import logging
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path
from typing import Final

from seaway_agent.volumes import filling, options
from seaway_agent.volumes.directories import RECORD, VolumeDirectories, record_of, refusal
from seaway_agent.volumes.held import HeldRecords
from seaway_contracts.containers import ContainerSpec, Mount
from seaway_contracts.docker_errors import no_such_volume, volume_in_use
from seaway_contracts.errors import conflict, internal
from seaway_contracts.volumes import VolumeRecord
from seaway_kit.failpoints import Failpoint, reach

log = logging.getLogger(__name__)
_REMEMBERED: Final = 4096


class Volumes:
    """Call `start` first, `close` last, and all in the event loop's thread.

    `was_removed`: whether a volume with this id was removed from the node.
    """

    def __init__(self, root: Path, node: str, was_removed: Callable[[str], bool]) -> None:
        self.root = root
        self._node = node
        self._was_removed = was_removed
        self._directories = VolumeDirectories(root, node)
        self._held = HeldRecords()
        self._users: defaultdict[str, set[str]] = defaultdict(set)
        # Volume → the container that is being made, for which it was made.
        self._new: dict[str, str] = {}
        # A container that is being made → the volumes that come into being with it.
        self._created: dict[str, dict[str, VolumeRecord]] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()
        # Volumes whose record a power cut may still destroy.
        self._unsynced: set[str] = set()

    def start(self, specs: Iterable[ContainerSpec], *, whole: bool = True) -> None:
        """Index the volumes and their users, and recover from a former agent's end.

        Removes volumes of containers whose creation was not completed; finishes removals, and copies under way.
        `specs` are all containers that were made, or, where not `whole`, maybe not all: then no data is removed.
        """
        known, anonymous = set(), {}
        for spec in specs:
            known.add(spec.id)
            for mount in volume_mounts(spec):
                self._users[mount.source].add(spec.id)
                if mount.anonymous:
                    anonymous[mount.source] = mount
        for path in self._directories.found():
            try:
                if not self._remove_begun(path, known, whole=whole):
                    self._recover(path, anonymous.get(path.name))
            except OSError as error:
                log.error("volume %s: %s", path.name, error)

    def close(self) -> None:
        """Wait for removals."""
        self._directories.close()

    def path(self, name: str) -> Path:
        """A volume's data directory. Raises SeawayError for an invalid name."""
        return self._directories.data(name)

    def ready(self, name: str) -> Path:
        """A volume's data directory, made anew where somebody has removed it. Raises SeawayError.

        Also where its record can't be read: its data may be on a server.
        """
        self._check_readable(name)
        return self._directories.make_data(name)

    def held(self, name: str) -> VolumeRecord | None:
        """The record of a volume of this node; None without one."""
        return self._held.get(name)

    def of_container(self, container: str) -> list[VolumeRecord]:
        """The volumes that a container has."""
        return [record for record in self._held.all() if container in self._users.get(record.name, ())]

    def record(self, mount: Mount) -> VolumeRecord:
        """The record of a mount's volume; of one that is not there, the record that it would get."""
        held = self._held.get(mount.source)
        return held if held is not None else self._record_for(mount)

    async def sync(self, names: Iterable[str]) -> None:
        """Make the records of new volumes survive a power cut: those with a name or options. Raises SeawayError."""
        for name in [name for name in dict.fromkeys(names) if name in self._unsynced]:
            record = self._held.get(name)
            await asyncio.to_thread(self._directories.sync, name)
            if self._held.get(name) is record:
                self._unsynced.discard(name)

    # --- a container's volumes

    def reserve(self, spec: ContainerSpec, records: Iterable[VolumeRecord] = ()) -> None:
        """Make a new container's missing volumes, and protect all its volumes from removal.

        `records`: those of its volumes with a name; one that is here needs none. Call `commit` or `rollback` next.
        Raises SeawayError with nothing made: 404 for a volume that was removed, or that has no record, 409 if the
        node has another one of that name.
        """
        given = {record.name: record for record in records}
        self._created[spec.id] = {}
        try:
            for mount in volume_mounts(spec):
                self._take(mount, spec.id, given.get(mount.source))
                reach(Failpoint.VOLUME_MADE)
                self._users[mount.source].add(spec.id)
        except BaseException:
            self.rollback(spec)
            raise

    def created_with(self, spec: ContainerSpec) -> tuple[VolumeRecord, ...]:
        """The volumes that come into being with this container, while its creation is under way."""
        return tuple(self._created.get(spec.id, {}).values())

    def commit(self, spec: ContainerSpec) -> None:
        """Keep the new volumes: the container is created."""
        self._created.pop(spec.id, None)
        for name in self._new_for(spec.id):
            self._unmark_if_possible(name)

    def rollback(self, spec: ContainerSpec) -> None:
        """Remove the new volumes: the container's creation has failed."""
        self._created.pop(spec.id, None)
        self._remove_user(spec)
        for name in self._new_for(spec.id):
            self._discard(name)

    def release(self, spec: ContainerSpec, *, anonymous: bool) -> tuple[VolumeRecord, ...]:
        """Release a removed container's volumes; returns those that were removed with it.

        With `anonymous`, removes its anonymous volumes that no other container uses. Raises OSError; a retry is safe.
        """
        mounts = [m for m in volume_mounts(spec) if anonymous and m.anonymous and self._users[m.source] <= {spec.id}]
        gone = {mount.source: self.record(mount) for mount in mounts}
        for name, record in gone.items():
            self._discard(name)
            self._gone[record.id] = None
            reach(Failpoint.VOLUME_GONE)
        for name in {mount.source for mount in volume_mounts(spec)} & self._new.keys():
            self._unmark(name)
        while len(self._gone) > _REMEMBERED:
            self._gone.popitem(last=False)
        self._remove_user(spec)
        return tuple(gone.values())

    # --- volumes that metadata makes and removes

    def make(self, record: VolumeRecord) -> None:
        """Make a volume; the same id twice makes it once. Raises SeawayError: 404, 409, or why it can't be made."""
        if record.name in self._new:
            self._check(record)
            self._keep(record.name)  # whatever becomes of the container that is being made
        self._put(record)

    def check_unused(self, identifier: str, name: str) -> None:
        """Raise SeawayError (409) while a container of this node, or one that is being made, has the volume."""
        users = self._users.get(self._held.named(identifier, name), set())
        if users:
            raise volume_in_use(name, sorted(users))

    def remove(self, identifier: str, name: str) -> None:
        """Remove a volume that no container has, by id; does nothing without one. Raises OSError.

        By its name where its record has been lost: a volume must not come back when another one gets its name.
        """
        if found := self._held.named(identifier, name):
            self._discard(found)

    def listed(self, containers: Container[str]) -> dict[str, VolumeRecord]:
        """The volumes by id, without those of containers that are not made yet."""
        new = {
            name
            for name, container in self._new.items()
            if container not in containers and self._users.get(name, set()) <= {container}
        }
        return {record.id: record for record in self._held.all() if record.name not in new}

    def all(self) -> Iterable[VolumeRecord]:
        """All volumes, also those of containers that are not made yet."""
        return self._held.all()

    # --- steps

    def _remove_begun(self, path: Path, known: set[str], *, whole: bool) -> bool:
        """Remove a volume whose container's creation was not completed; whether it was that.

        No container is removed before its marks: so one of a container that isn't known means that it never was made.
        """
        name = path.name
        for container in self._directories.marks(name):
            made = container in known or name in self._users
            if not made and (whole or filling.is_empty(path, "")):
                log.info("removes volume %s, whose container was never created", name)
                self._directories.discard(name)
                return True
            self._new[name] = container
            self._unmark_if_possible(name)
        return False

    def _recover(self, path: Path, anonymous: Mount | None) -> None:
        name, used = path.name, path.name in self._users
        record = self._directories.load(name)
        if record is not None and self._was_removed(record.id) and not used:
            log.info("removes volume %s, which was to be removed", name)
            self._directories.discard(name)
            return
        if record is None and anonymous is not None:
            record = self._record_for(anonymous)
            self._directories.write(record)
        if record is None:
            self._held.put_unreadable(self._directories.record_of(name))
        else:
            self._held.put(record)
        filling.finish(path)

    def _take(self, mount: Mount, container: str, given: VolumeRecord | None) -> None:
        """Make a mount's volume if it isn't there, and note whether it comes into being with the container."""
        name, there = mount.source, mount.source in self._held
        if given is None:
            self._check_readable(name)
            if not there and not mount.anonymous:
                raise no_such_volume(name)  # nobody would see it
        record = given or self.record(mount)
        self._put(record, container)
        if there and self._new.get(name, container) != container:
            self._keep(name)  # a second container uses it: the first one's failure must not remove it
        if given.made_for == container if given is not None else not there:
            self._created[container][name] = record

    def _put(self, record: VolumeRecord, container: str = "") -> None:
        """Make a volume, for a container; one that is there and has no record of its own gets this one."""
        self._check(record)
        held = self._held.get(record.name)
        if held is not None and held.id == record.id and record.name not in self._held.unreadable:
            self._directories.make_data(record.name)
            return
        options.check(record.name, record.options)
        # Who made it is metadata's to know: here the mark says it.
        kept = record.model_copy(update={"made_for": "", "node": record.node or self._node})
        self._directories.make(kept, container)
        self._held.put(kept)
        if not kept.anonymous or kept.options:
            self._unsynced.add(kept.name)
        if held is None and container:
            self._new[record.name] = container

    def _check(self, record: VolumeRecord) -> None:
        """Raise SeawayError for a record that was removed, or whose name is another volume's on this node."""
        if self._was_removed(record.id) or record.id in self._gone:
            raise no_such_volume(record.name)
        held = self._held.get(record.name)
        if held is not None and held.id != record.id and not self._held.is_made_up(held.name):
            raise conflict(
                f"node {self._node} has another volume {record.name} ({held.id[:12]}), which was not removed from it "
                "and is left as it is: choose another name, or remove that one"
            )

    def _check_readable(self, name: str) -> None:
        if name in self._held.unreadable:
            file = self.root / name / RECORD
            raise internal(
                f"volume {name} can't be used: node {self._node} can't read its record, {file}, and so not where its "
                "data is: make another container with this volume, which brings the record again"
            )

    def _record_for(self, mount: Mount) -> VolumeRecord:
        record = record_of(mount.source, self._node, time.time_ns(), anonymous=mount.anonymous)
        return record.model_copy(update={"labels": mount.volume_labels, "options": mount.volume_options})

    def _new_for(self, container: str) -> list[str]:
        return [name for name, maker in self._new.items() if maker == container]

    def _keep(self, name: str) -> None:
        try:
            self._unmark(name)
        except OSError as error:
            raise refusal(name, error) from error

    def _unmark_if_possible(self, name: str) -> None:
        """Else it is tried again with each use of the volume, and must have succeeded before its container goes."""
        try:
            self._unmark(name)
        except OSError as error:
            log.error("volume %s: %s", name, error)

    def _unmark(self, name: str) -> None:
        self._directories.unmark(name, self._new[name])
        del self._new[name]

    def _remove_user(self, spec: ContainerSpec) -> None:
        for mount in volume_mounts(spec):
            users = self._users[mount.source]
            users.discard(spec.id)
            if not users:
                del self._users[mount.source]

    def _discard(self, name: str) -> None:
        self._directories.discard(name)
        self._new.pop(name, None)
        self._unsynced.discard(name)
        self._held.drop(name)


def volume_mounts(spec: ContainerSpec) -> Iterator[Mount]:
    """The mounts of volumes in a spec."""
    return (mount for mount in spec.mounts if mount.type == "volume")
