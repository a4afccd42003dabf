"""What is at a path of a view, and its tar. Everything here blocks: call it in a thread."""

import os
import stat
from typing import Final

from seaway_agent.archive import rules
from seaway_agent.archive.walk import TarWriter, Write, tar_tree
from seaway_agent.kernel import paths
from seaway_contracts.archives import PathStat
from seaway_contracts.docker_errors import no_such_path
from seaway_contracts.errors import SeawayError, internal

_READ: Final = os.O_RDONLY | os.O_DIRECTORY


def refusal(error: OSError, call: str, path: str, container: str) -> SeawayError:
    """404 for what isn't there, else Go's sentence."""
    if isinstance(error, FileNotFoundError):
        return no_such_path(path, container)
    reason = (os.strerror(error.errno) if error.errno else str(error)).lower()
    return internal(f"{call} {path}: {reason}")


def stat_path(root: int, path: str) -> PathStat:
    """lstat of a path that `rules.absolute` made. Raises OSError."""
    status = paths.lstat_in_root(root, path)
    target = paths.resolve(root, path) if stat.S_ISLNK(status.st_mode) else ""
    return PathStat(
        name=rules.base_name(path),
        size=status.st_size,
        mode=status.st_mode,
        mtime_ns=status.st_mtime_ns,
        link_target=target,
    )


def tar_path(root: int, path: str, write: Write) -> None:
    """The tar of what is at the path. Raises OSError, SeawayError."""
    directory = stat.S_ISDIR(paths.lstat_in_root(root, path).st_mode)
    source = rules.source_of(path, directory=directory)
    writer, title = TarWriter(write), os.fsencode(source.title)
    fd = paths.open_in_root(root, source.directory, _READ)
    try:
        if directory:
            writer.add_directory(fd, title)
            tar_tree(writer, fd, title + b"/")
        else:
            status = os.stat(source.name, dir_fd=fd, follow_symlinks=False)
            writer.add(fd, source.name, title, status)
    finally:
        os.close(fd)
    writer.finish()


def tar_rootfs(root: int, write: Write) -> None:
    """The tar of everything, without the root directory itself, as `docker export` gives it."""
    writer = TarWriter(write)
    fd = paths.open_in_root(root, "/", _READ)
    try:
        tar_tree(writer, fd, b"")
    finally:
        os.close(fd)
    writer.finish()


def read_text(root: int, path: str, limit: int = 4 << 20) -> str:
    """A small text file; empty where it is missing or no plain file."""
    try:
        fd = paths.open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return ""
    with open(fd, "rb") as file:
        plain = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        return file.read(limit).decode(errors="replace") if plain else ""
