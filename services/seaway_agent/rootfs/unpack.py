"""Unpacks one image layer into a directory, in the form that overlayfs reads.

OCI image spec, layer.md; whiteouts become overlayfs's (kernel, overlayfs.rst, "whiteouts and opaque directories").
"""

import os
from dataclasses import dataclass
from pathlib import Path

from seaway_agent.rootfs import tree
from seaway_agent.rootfs.errors import LayerRejected, LayerTooLarge
from seaway_agent.rootfs.layer_stream import LayerStream
from seaway_agent.rootfs.limits import Limits
from seaway_agent.rootfs.tree_writer import TreeWriter
from seaway_archive.errors import ArchiveRejected, ArchiveTooLarge
from seaway_archive.reader import Read, TarReader
from seaway_contracts.images import Layer


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A layer on disk: the number of its entries, the bytes of its regular files, the number of entries left out.

    `implied`: directories that no entry describes. `opaque_root`: the layer hides all layers below.
    """

    entries: int
    size: int
    dropped: int
    opaque_root: bool
    implied: tuple[tuple[bytes, ...], ...]


def unpack_layer(read: Read, root: Path, layer: Layer, limits: Limits) -> Unpacked:
    """Unpack the blob that `read(n)` returns into the empty directory `root`. Blocks: call it in a thread.

    Nothing outside of `root` is touched, whatever the blob holds. Raises `LayerRejected` (malformed, hostile, or not
    the bytes that `layer` promises), `LayerTooLarge`, SeawayError (TOO_LARGE: it expands too far), or OSError; then
    `root` is empty again.
    """
    root_fd = tree.open_directory(root)
    try:
        if not tree.is_empty(root_fd):
            raise LayerRejected(f"{root} is not empty: layers are unpacked into empty directories")
        try:
            return _unpack(read, root_fd, layer, limits)
        except BaseException:
            tree.empty(root_fd)
            raise
    finally:
        os.close(root_fd)


def _unpack(read: Read, root_fd: int, layer: Layer, limits: Limits) -> Unpacked:
    try:
        return _unpack_stream(LayerStream(read, layer, limits), root_fd, limits)
    except ArchiveRejected as error:
        raise LayerRejected(f"layer {layer.digest}: {error.message}") from error
    except ArchiveTooLarge as error:
        raise LayerTooLarge(f"layer {layer.digest}: {error.message}") from error


def _unpack_stream(stream: LayerStream, root_fd: int, limits: Limits) -> Unpacked:
    archive = TarReader(stream.read, limits.tar)
    writer = TreeWriter(root_fd, limits)
    try:
        for entry in archive:
            writer.write(entry, archive.pieces())
            stream.bound_entries(writer.written.entries)
        archive.drain()
        stream.finish()
        writer.finish()
    finally:
        writer.close()
    written = writer.written
    implied = tuple(writer.implied)
    return Unpacked(written.entries, written.size, written.dropped, written.opaque_root, implied)
