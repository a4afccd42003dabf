"""The directory of one build: its context, the files that the builder reads, and the pipes of its steps. All blocks."""

import contextlib
import errno
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seaway_agent.archive.extract import Extractor, Target
from seaway_agent.kernel import paths
from seaway_archive.assembly import TarLimits
from seaway_archive.entries import Kind
from seaway_archive.errors import ArchiveRejected
from seaway_archive.inflate import InflatingReader
from seaway_archive.reader import Read, TarReader
from seaway_contracts.errors import bad_request, internal
from seaway_docker import dockerignore
from seaway_docker.dockerfile import MOST_BYTES
from seaway_kit.private_files import make_private_directory, write_private

PIPES: Final = ("ctl", "go", "out", "err")
_DIRECTORIES: Final = ("context", "runroot", "tmp", "home", "empty", "crun")
_DEVICES: Final = frozenset((Kind.CHARACTER, Kind.BLOCK))
_BAD_NAMES: Final = frozenset(
    (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG, errno.EXDEV)
)
_MOST_ENTRIES: Final = 2_000_000
_MOST_IGNORE: Final = 1 << 20


@dataclass(frozen=True)
class Workspace:
    """`directory` is nobody's but this build's; `mounts` keeps what `RUN --mount=type=cache` keeps, for all builds."""

    directory: Path
    mounts: Path

    def make(self) -> None:
        """Make it, empty. Raises OSError."""
        make_private_directory(self.directory)
        for name in _DIRECTORIES:
            (self.directory / name).mkdir(mode=0o700)
        for name in PIPES:
            os.mkfifo(self.directory / name, 0o600)
        self.mounts.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Where the builder looks for it (buildah 1.39, internal/volumes).
        (self.directory / "tmp" / "buildah-cache-0").symlink_to(self.mounts)

    def remove(self) -> None:
        """Remove it. Raises OSError."""
        shutil.rmtree(self.directory)

    def containers(self) -> list[str]:
        """The builder's working containers that this build has; none once it has ended by itself."""
        try:
            return [path.name for path in (self.directory / "runroot" / "overlay-containers").iterdir()]
        except FileNotFoundError:
            return []

    @property
    def context(self) -> Path:
        """Where the context is."""
        return self.directory / "context"

    def unpack(self, read: Read, most_bytes: int) -> None:
        """Unpack the context, a tar that may be compressed. Raises SeawayError; OSError where the disk is full.

        Nothing leaves the context: names are opened from its root, and no link is followed out of it. Devices are
        left out.
        """
        root = os.open(self.context, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        extractor = Extractor(Target(root, "/"))
        try:
            archive = TarReader(InflatingReader(read).read, TarLimits(total=most_bytes, entries=_MOST_ENTRIES))
            for entry in archive:
                if entry.kind not in _DEVICES:
                    extractor.write(entry, archive.pieces())
            archive.drain()
            extractor.finish()
        except ArchiveRejected as error:
            raise bad_request(f"the build's context can't be read: {error.message}") from error
        except OSError as error:
            if error.errno not in _BAD_NAMES:
                raise
            raise bad_request(f"the build's context can't be unpacked: {error.strerror}: {error.filename}") from error
        finally:
            extractor.close()
            os.close(root)

    def dockerfile(self, name: str) -> str:
        """The text of the Dockerfile, links followed in the context alone. Raises SeawayError in Docker's words."""
        root = os.open(self.context, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                size = paths.open_in_root(root, name, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                raise internal(f"Cannot locate specified Dockerfile: {name}") from None
            os.close(size)
            text = paths.read_text_in_root(root, name, MOST_BYTES + 1)
            self._leave_out(root, name)
        finally:
            os.close(root)
        if not text:
            raise bad_request(f"the Dockerfile ({name}) cannot be empty")
        self.write({"ignore": ""})
        return text

    def _leave_out(self, root: int, name: str) -> None:
        """Remove the Dockerfile and `.dockerignore` where the latter names them."""
        try:
            ignored = paths.read_text_in_root(root, dockerignore.NAME, _MOST_IGNORE)
        except OSError:
            return
        for path in dockerignore.left_out(ignored, name):
            with contextlib.suppress(OSError):
                directory = paths.open_in_root(root, str(Path(path).parent), os.O_PATH | os.O_CLOEXEC)
                try:
                    os.unlink(Path(path).name, dir_fd=directory)
                finally:
                    os.close(directory)

    def write(self, files: Mapping[str, str]) -> None:
        """Write files that nobody else may read."""
        for name, text in files.items():
            write_private(self.directory / name, text.encode("utf-8", "surrogateescape"))

    def write_shown(self, files: Mapping[str, str]) -> None:
        """Write files that steps see: all users of a step may read them."""
        for name, text in files.items():
            path = self.directory / name
            path.write_text(text)
            path.chmod(0o644)

    def write_runtime(self, script: str) -> None:
        """Write the OCI runtime that the builder calls."""
        write_private(self.directory / "runtime", script.encode())
        (self.directory / "runtime").chmod(0o700)
