"""Which blobs registries are known to hold, and in which repositories, so that a push need not send them again.

What is known is a hint: a registry is asked before anything relies on it, and whatever is lost is only sent once more.
So the file is appended to without a sync, and a line that can't be read is left out.
"""

import contextlib
from collections import OrderedDict
from pathlib import Path
from typing import Final

import orjson
from pydantic import ValidationError

from seaway_image.oci.digests import Digest
from seaway_image.store.remote_blobs import RemoteBlob

_FOR_EACH: Final = 50
_MOST: Final = 20_000


class BlobSources:
    """The newest for each tar; the tars that were heard of last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: OrderedDict[Digest, dict[tuple[str, str], RemoteBlob]] = OrderedDict()
        self._lines = 0

    def open(self) -> None:
        """Read what earlier processes have learned."""
        try:
            lines = self._path.read_bytes().splitlines()
        except OSError:
            return
        for line in lines:
            with contextlib.suppress(orjson.JSONDecodeError, ValidationError):
                self._enter(RemoteBlob.model_validate(orjson.loads(line)))
        self._rewrite()

    def of(self, diff_id: Digest) -> list[RemoteBlob]:
        """Where the tar is known to be, newest first."""
        return list(reversed(self._known.get(diff_id, {}).values()))

    def has(self, digest: Digest, diff_id: Digest) -> bool:
        """Whether a registry holds this blob of the tar."""
        return any(one.digest == digest for one in self._known.get(diff_id, {}).values())

    def add(self, blob: RemoteBlob) -> None:
        """A registry has been seen to hold it."""
        if next(iter(self.of(blob.diff_id)), None) == blob:
            return
        self._enter(blob)
        self._lines += 1
        if self._lines > 2 * _MOST:
            self._rewrite()
            return
        with contextlib.suppress(OSError), self._path.open("ab") as file:
            file.write(_line(blob))

    def remove(self, blob: RemoteBlob) -> None:
        """The registry no longer holds it there."""
        self._known.get(blob.diff_id, {}).pop((blob.repository, blob.digest), None)

    def _enter(self, blob: RemoteBlob) -> None:
        blobs = self._known.setdefault(blob.diff_id, {})
        self._known.move_to_end(blob.diff_id)
        blobs.pop((blob.repository, blob.digest), None)
        blobs[blob.repository, blob.digest] = blob
        while len(blobs) > _FOR_EACH:
            del blobs[next(iter(blobs))]
        while len(self._known) > _MOST:
            self._known.popitem(last=False)

    def _rewrite(self) -> None:
        lines = [_line(blob) for blobs in self._known.values() for blob in blobs.values()]
        self._lines = len(lines)
        aside = self._path.with_name(self._path.name + ".new")
        with contextlib.suppress(OSError):
            aside.write_bytes(b"".join(lines))
            aside.replace(self._path)


def _line(blob: RemoteBlob) -> bytes:
    return orjson.dumps(blob.model_dump()) + b"\n"
