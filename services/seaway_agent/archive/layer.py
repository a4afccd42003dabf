"""A container's writable layer as an image layer: overlayfs's marks become OCI whiteouts (image spec, layer.md)."""

import contextlib
import os
from pathlib import Path

from seaway_agent.archive.changes import is_opaque, is_whiteout
from seaway_agent.archive.walk import Step, TarWriter, Write, walk
from seaway_agent.rootfs.names import OPAQUE, WHITEOUT
from seaway_agent.rootfs.tree import open_directory
from seaway_archive.entries import Kind, TarEntry
from seaway_contracts.errors import internal


def tar_layer(upper: Path, write: Write) -> bool:
    """Write the layer as a tar; whether there is anything in it. Blocks."""
    writer = TarWriter(write)
    fd = open_directory(upper)
    found = False
    try:
        for step in walk(fd, b""):
            found = True
            _add(writer, step)
    finally:
        os.close(fd)
    writer.finish()
    return found


def _add(writer: TarWriter, step: Step) -> None:
    if os.fsencode(step.name).startswith(WHITEOUT):
        raise internal(f"the file {step.name[:100]!r} can't be part of an image: names with .wh. mean deletions there")
    if step.fd >= 0:
        writer.add_directory(step.fd, step.title)
        if is_opaque(step.fd):
            writer.add_raw(_mark(step, step.title + b"/" + OPAQUE))
    elif is_whiteout(step.status):
        parent, _, name = step.title.rpartition(b"/")
        writer.add_raw(_mark(step, (parent + b"/" if parent else b"") + WHITEOUT + name))
    else:
        with contextlib.suppress(FileNotFoundError):
            writer.add(step.parent, step.name, step.title, step.status)


def _mark(step: Step, title: bytes) -> TarEntry:
    return TarEntry(title, Kind.FILE, mode=0o600, mtime_ns=step.status.st_mtime_ns)
