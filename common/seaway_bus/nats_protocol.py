"""The NATS client protocol. Pure: bytes in, messages out, and back.

nats-py has all this, but most of a message's cost is in its parser, header reader and formatter.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from seaway_bus.transport import Message

_LINE: Final = b"\r\n"
_HEAD: Final = "NATS/1.0"
_STATUS: Final = "Status"
_DESCRIPTION: Final = "Description"
_STATUS_SIZE: Final = 3
_MOST_LINE: Final = 65536  # the server's own: a subject, a reply subject, some numbers
_WORD: Final = re.compile(r"[^\s]+")
_NAME: Final = re.compile(r"[!-9;-~]+")
_NEWLINES: Final = str.maketrans("\r\n", "  ")
_MOST_KNOWN: Final = 256
_known_names: set[str] = set()


class Unreadable(ValueError):
    """This isn't NATS."""


class Parser:
    """Parses bytes as they come; calls back for each complete message and each other complete line, in order."""

    def __init__(self, message: Callable[[int, Message], None], control: Callable[[bytes], None]) -> None:
        """`message` gets the subscription's number; `control` a whole line, as `PING` or `-ERR 'why'`."""
        self._message = message
        self._control = control
        self._held: list[bytes] = []
        self._size = 0
        self._needed = 0

    def feed(self, data: bytes) -> None:
        """Parse more bytes. Raises Unreadable."""
        if self._held:
            self._held.append(data)
            self._size += len(data)
            if self._size < self._needed:
                return
            data = b"".join(self._held)
            self._held.clear()
        start, end = 0, len(data)
        while start < end:
            after = self._take(data, start)
            if not after:
                self._held, self._size = [data[start:]], end - start
                return
            start = after

    def _take(self, data: bytes, start: int) -> int:
        """Parse one message or line; the position after it, 0 if it isn't complete yet."""
        end = data.find(_LINE, start)
        if end < 0:
            if len(data) - start > _MOST_LINE:
                raise Unreadable("a line without an end")
            self._needed = 0
            return 0
        line = data[start:end]
        if not line.startswith((b"MSG ", b"HMSG ")):
            self._control(line)
            return end + 2
        words = line.split()
        body = end + 2
        try:
            after = body + int(words[-1]) + 2
            if len(data) < after:
                self._needed = after - start
                return 0
            self._message(*_read(words, data, body, after - 2))
        except (IndexError, ValueError) as error:
            raise Unreadable(f"a message that can't be read: {line[:200]!r}") from error
        return after


def _read(words: list[bytes], data: bytes, start: int, end: int) -> tuple[int, Message]:
    """`MSG <subject> <sid> [reply] <size>`, `HMSG <subject> <sid> [reply] <size of headers> <size>`."""
    with_headers = words[0] == b"HMSG"
    if not 0 <= len(words) - 4 - with_headers <= 1:
        raise ValueError("too many words")
    reply = words[3].decode() if len(words) == 5 + with_headers else ""
    if not with_headers:
        return int(words[2]), Message(words[1].decode(), data[start:end], {}, reply)
    body = start + int(words[-2])
    return int(words[2]), Message(words[1].decode(), data[body:end], read_headers(data[start:body]), reply)


def read_headers(block: bytes) -> dict[str, str]:
    """The headers of a message; a status line of the server as `Status` and `Description`."""
    first, *lines = block.decode("utf-8", "replace").split("\r\n")
    headers = {}
    if len(first) > len(_HEAD):
        status = first[len(_HEAD) :].strip()
        headers[_STATUS] = status[:_STATUS_SIZE]
        if description := status[_STATUS_SIZE:].strip():
            headers[_DESCRIPTION] = description
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip()] = value.strip()
    return headers


def header_block(headers: Mapping[str, str] | None) -> bytes:
    """Headers in wire form; empty for none. Raises ValueError for a name that can't be one.

    A line feed in a value becomes a space: it would begin another header.
    """
    if not headers:
        return b""
    if not headers.keys() <= _known_names:
        _check_names(headers)
    if not "".join(headers.values()).isprintable():
        headers = {name: _on_one_line(value) for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join((_HEAD, *lines, "", "")).encode()


def _check_names(names: Iterable[str]) -> None:
    for name in names:
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} is no name of a header")
        if len(_known_names) < _MOST_KNOWN:
            _known_names.add(name)


def _on_one_line(value: str) -> str:
    return value if value.isprintable() else value.translate(_NEWLINES).strip()


def publication(subject: str, data: bytes, block: bytes = b"", reply: str = "") -> bytes:
    """A message to publish, with its `header_block`. Raises ValueError for a subject that can't be one."""
    where = f"{_word(subject)} {_word(reply)}" if reply else _word(subject)
    if not block:
        return b"PUB %b %d\r\n%b\r\n" % (where.encode(), len(data), data)
    return b"HPUB %b %d %d\r\n%b%b\r\n" % (where.encode(), len(block), len(block) + len(data), block, data)


def subscription(subject: str, queue: str, number: int) -> bytes:
    """The line that subscribes. Raises ValueError for a subject that can't be one."""
    return f"SUB {_word(subject)} {_word(queue) if queue else ''} {number}\r\n".encode()


def end_of_subscription(number: int) -> bytes:
    """The line that unsubscribes."""
    return f"UNSUB {number}\r\n".encode()


def _word(text: str) -> str:
    if _WORD.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no subject")
    return text
