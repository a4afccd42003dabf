"""An archive unpacked at a path of a view. Everything here blocks: call it in a thread."""

import os
import stat
from typing import Final

from seaway_agent.archive import rules
from seaway_agent.archive.extract import Extractor, Target
from seaway_agent.archive.reading import read_text
from seaway_agent.kernel import paths
from seaway_agent.rootfs.limits import GIB
from seaway_agent.rootfs.passwd import resolve_user
from seaway_archive.assembly import TarLimits
from seaway_archive.errors import ArchiveRejected, ArchiveTruncated, CompressionRejected
from seaway_archive.inflate import InflatingReader
from seaway_archive.reader import Read, TarReader
from seaway_contracts.containers import ContainerSpec
from seaway_contracts.errors import SeawayError, internal

# A user's own archive may be large; memory is bounded by the reader.
LIMITS: Final = TarLimits(total=1024 * GIB, entries=10_000_000)


def target_of(root: int, path: str, spec: ContainerSpec, *, running: bool, keep_kinds: bool, chown: bool) -> Target:
    """Where an archive for `path` goes, links followed. Raises OSError, SeawayError where it may not be written."""
    if path.endswith("/"):
        paths.lstat_in_root(root, path)
    where = paths.resolve(root, path)
    if not stat.S_ISDIR(paths.lstat_in_root(root, where).st_mode):
        raise internal(rules.NO_DIRECTORY)
    rules.check_writable(spec.mounts, where, read_only_rootfs=spec.security.read_only_rootfs, running=running)
    return Target(root, where, keep_kinds=keep_kinds, owner=_owner(root, spec) if chown else None)


def _owner(root: int, spec: ContainerSpec) -> tuple[int, int] | None:
    """The container's own user, looked up in its own files; None: the owners that the archive gives."""
    if not spec.command.user:
        return None
    user = resolve_user(spec.command.user, read_text(root, "/etc/passwd"), read_text(root, "/etc/group"))
    return user.uid, user.gid


def extract(read: Read, target: Target) -> None:
    """Unpack the archive that `read` gives, compressed or not, and read it to its end. Raises SeawayError, OSError."""
    extractor = Extractor(target)
    try:
        archive = TarReader(InflatingReader(read).read, LIMITS)
        for entry in archive:
            extractor.write(entry, archive.pieces())
        archive.drain()
        extractor.finish()
    except ArchiveRejected as error:
        raise _in_dockers_words(error) from error
    finally:
        extractor.close()


def _in_dockers_words(error: ArchiveRejected) -> SeawayError:
    if isinstance(error, ArchiveTruncated):
        return internal(f"unexpected EOF: {error.message}")
    if isinstance(error, CompressionRejected):
        return internal(error.message)
    return internal(f"archive/tar: invalid tar header: {error.message}")


def io_refusal(error: OSError, path: str) -> SeawayError:
    """An error of the disk while an archive was unpacked."""
    name = error.filename if error.filename is not None else path
    shown = os.fsdecode(name) if isinstance(name, bytes) else str(name)
    reason = (os.strerror(error.errno) if error.errno else str(error)).lower()
    return internal(f"{shown}: {reason}")
