"""zstd by the program of that name, fed and read through pipes by one thread."""

import os
import select
import subprocess
from typing import Final

from seaway_agent.rootfs.errors import LayerRejected
from seaway_agent.rootfs.limits import KIB
from seaway_agent.rootfs.tar import Read
from seaway_contracts.errors import Code, SeawayError

_FEED: Final = 64 * KIB
_WINDOW: Final = "--memory=128MB"  # RFC 8878 lets a frame ask for much more
_COMMAND: Final = ("zstd", "--decompress", "--stdout", "--quiet", _WINDOW)


class ZstdProgram:
    """Inflates what `read` gives, frame after frame. To be closed, which ends the program wherever it stands."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._input = b""
        self._process = _started()
        assert self._process.stdin is not None and self._process.stdout is not None  # pipes were asked for
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        os.set_blocking(self._stdin.fileno(), False)
        self._poll = select.poll()
        self._poll.register(self._stdin, select.POLLOUT)
        self._poll.register(self._stdout, select.POLLIN)

    def read(self, n: int) -> bytes:
        """1 to `n` bytes, b"" at the end. Raises `LayerRejected` for broken zstd, and whatever `read` raises."""
        while not self._stdin.closed:
            if any(fd == self._stdout.fileno() for fd, _ in self._poll.poll()):
                break
            self._feed()
        data = os.read(self._stdout.fileno(), n)
        if not data and self._process.wait() != 0:
            raise LayerRejected("the layer's zstd stream is broken, or ends early")
        return data

    def close(self) -> None:
        """End the program."""
        self._process.kill()
        self._process.wait()
        self._stdout.close()
        self._stdin.close()

    def _feed(self) -> None:
        self._input = self._input or self._read(_FEED)
        try:
            if self._input:
                self._input = self._input[os.write(self._stdin.fileno(), self._input) :]
            else:
                self._stdin.close()
        except BlockingIOError:
            pass  # less room than the kernel promises before it says that there is some
        except BrokenPipeError:
            self._stdin.close()  # it has refused the stream: its exit code says so


def _started() -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(_COMMAND, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, bufsize=0)
    except FileNotFoundError:
        raise SeawayError(
            Code.INTERNAL, "the layer is zstd: install the program zstd on the node, or push the image with gzip layers"
        ) from None
