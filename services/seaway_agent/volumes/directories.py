"""The directories of a node's volumes. Each has the volume's data in `_data`, and its record in `volume.json`.

The record of a volume with a name or with options is synced before anybody hears of the volume.
While a container is being made for which the volume is new, a mark `for-<container>` is there too. A directory
appears with all of that, and disappears, in one rename.
"""

import contextlib
import logging
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from seaway_agent.kernel.clones import unmount_tree
from seaway_agent.kernel.mountinfo import targets_below
from seaway_agent.rootfs import tree
from seaway_agent.rootfs.errors import StorageFull
from seaway_agent.rootfs.layers import FULL
from seaway_agent.volumes.filling import DATA
from seaway_contracts.errors import bad_request, internal
from seaway_contracts.volumes import VolumeRecord

log = logging.getLogger(__name__)
RECORD: Final = "volume.json"
# No volume's name begins with a dot.
_NEW: Final = ".new-"
_TRASH: Final = ".trash-"
_FOR: Final = "for-"
_RANDOM_NAME: Final = re.compile(r"[0-9a-f]{64}")


class VolumeDirectories:
    """Makes, describes and removes them. Their content is removed in a thread. To be closed."""

    def __init__(self, root: Path, node: str) -> None:
        self.root = root
        self.node = node
        self._remover = ThreadPoolExecutor(1, thread_name_prefix="remove-volume")

    def close(self) -> None:
        """Wait for removals."""
        self._remover.shutdown()

    def path(self, name: str) -> Path:
        """A volume's directory. Raises SeawayError (400) for an invalid name."""
        if not name or name.startswith(".") or "/" in name or "\0" in name:
            raise bad_request(f"{name!r} is no volume name: use [a-zA-Z0-9][a-zA-Z0-9_.-]")
        return self.root / name

    def data(self, name: str) -> Path:
        """A volume's data. Raises SeawayError (400) for an invalid name."""
        return self.path(name) / DATA

    def found(self) -> Iterator[Path]:
        """All volumes' directories; removes what a former agent had not finished to make or to remove."""
        for path in list(self.root.iterdir()):
            if path.name.startswith((_NEW, _TRASH)):
                self._remover.submit(_remove, path)
            elif not path.is_symlink() and ((path / RECORD).exists() or (path / DATA).is_dir()):
                yield path

    def load(self, name: str) -> VolumeRecord | None:
        """The record of a directory; None where it can't be read. One without a record gets it: its name is the id."""
        file = self.root / name / RECORD
        try:
            record = VolumeRecord.model_validate_json(file.read_bytes())
            if record.name == name:
                return record
            log.error("%s describes another volume, %s", file, record.name)
            return None
        except FileNotFoundError:
            log.info("volume %s has no record; it gets one", name)
        except (OSError, ValidationError) as error:
            log.error("%s can't be read: %s", file, error)
            return None
        record = self.record_of(name)
        try:
            self.write(record)
        except OSError as error:
            log.error("volume %s: %s", name, error)
        return record

    def record_of(self, name: str) -> VolumeRecord:
        """A record for a directory of which nothing more is known: its id is its name."""
        try:
            made_ns = (self.root / name / DATA).stat().st_ctime_ns
        except OSError:
            made_ns = time.time_ns()
        return record_of(name, self.node, made_ns, anonymous=_RANDOM_NAME.fullmatch(name) is not None)

    def make(self, record: VolumeRecord, container: str = "") -> None:
        """Make a volume; `container`: the one that it is made for. Raises SeawayError with nothing made."""
        path = self.path(record.name)
        try:
            if path.exists():
                (path / DATA).mkdir(exist_ok=True)
                self.write(record)
            else:
                self._make_new(path, record, container)
        except OSError as error:
            raise refusal(record.name, error) from error

    def make_data(self, name: str) -> Path:
        """A volume's data, made anew where somebody has removed it. Raises SeawayError."""
        data = self.data(name)
        try:
            data.parent.mkdir(mode=0o700, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                data.mkdir()  # which doesn't look at what is mounted there, whose server may hang
            link = any(entry.is_symlink() for entry in os.scandir(data.parent) if entry.name == DATA)
        except OSError as error:
            raise refusal(name, error) from error
        if link:
            raise internal(f"volume {name} can't be used: {data} is a link, and no directory")
        return data

    def write(self, record: VolumeRecord) -> None:
        """Write a volume's record in place of the one that is there. Raises OSError."""
        path = self.root / record.name
        _write(path / f"{RECORD}.new", record)
        (path / f"{RECORD}.new").rename(path / RECORD)

    def sync(self, name: str) -> None:
        """Make a volume and its record survive a power cut. It may take long. Raises SeawayError."""
        try:
            for path in (self.root / name / RECORD, self.root / name, self.root):
                _sync(path)
        except OSError as error:
            raise refusal(name, error) from error

    def marks(self, name: str) -> list[str]:
        """The containers for which a volume was being made. Raises OSError."""
        names = (entry.name for entry in (self.root / name).iterdir())
        return [mark.removeprefix(_FOR) for mark in names if mark.startswith(_FOR)]

    def unmark(self, name: str, container: str) -> None:
        """The volume stays, whatever becomes of this container. Raises OSError."""
        (self.root / name / f"{_FOR}{container}").unlink(missing_ok=True)

    def discard(self, name: str) -> None:
        """Remove a volume: it is gone at once (one rename), its space a little later. Raises OSError."""
        trash = self.root / f"{_TRASH}{os.urandom(8).hex()}"
        with contextlib.suppress(FileNotFoundError):
            (self.root / name).rename(trash)
            self._remover.submit(_remove, trash)

    def _make_new(self, path: Path, record: VolumeRecord, container: str) -> None:
        new = self.root / f"{_NEW}{os.urandom(8).hex()}"
        try:
            new.mkdir(mode=0o700)
            (new / DATA).mkdir()
            (new / DATA).chmod(0o755)
            _write(new / RECORD, record)
            if container:
                (new / f"{_FOR}{container}").touch()
            new.rename(path)
        except BaseException:
            _remove(new)
            raise


def record_of(name: str, node: str, created_ns: int, *, anonymous: bool) -> VolumeRecord:
    """The record of a volume for which nobody has sent one: its id is its name."""
    return VolumeRecord(id=name, name=name, created_ns=created_ns, node=node, anonymous=anonymous)


def refusal(name: str, error: OSError) -> Exception:
    """The error for a volume that can't be made."""
    text = f"volume {name} can't be made: {error.strerror}"
    return StorageFull(text) if error.errno in FULL else internal(text)


def unmount_below(path: Path) -> None:
    """Unmount everything at or below a path, so that a removal doesn't reach into it. Raises OSError."""
    for target in targets_below(Path("/proc/self/mountinfo").read_text(), os.path.realpath(path)):
        unmount_tree(target)


def _write(path: Path, record: VolumeRecord) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(record.model_dump_json(exclude_defaults=True).encode())


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _remove(path: Path) -> None:
    try:
        unmount_below(path)
        tree.remove(path)
    except OSError as error:
        log.warning("can't remove %s; the next start tries again: %s", path, error)
