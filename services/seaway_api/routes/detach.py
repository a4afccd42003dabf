"""The keys that let a client go without ending the container (docker/cli and moby pkg term). Pure."""

from typing import Final

from seaway_docker.errors import InvalidParameter

DEFAULT_KEYS: Final = b"\x10\x11"
_CONTROL: Final = {chr(code): code - 96 for code in range(ord("a"), ord("z") + 1)} | {
    "@": 0,
    "[": 27,
    "\\": 28,
    "]": 29,
    "^": 30,
    "_": 31,
}


def parse_detach_keys(text: str) -> bytes:
    """`ctrl-p,ctrl-q` or `a,b` -> the bytes; empty text gives the default. Raises InvalidParameter."""
    if not text:
        return DEFAULT_KEYS
    return bytes(_key(part, text) for part in text.split(","))


def _key(part: str, whole: str) -> int:
    if len(part) == 1 and part.isascii():
        return ord(part)
    code = _CONTROL.get(part.removeprefix("ctrl-")) if part.startswith("ctrl-") else None
    if code is None:
        raise InvalidParameter(f"Invalid detach keys ({whole}) provided: Unknown character: '{part}'")
    return code


class DetachScanner:
    """Looks for the keys in what a client types, at any cut of its bytes."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._matched = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """The bytes for the container, and whether the client wants to go. Keys begun are held back."""
        out = bytearray()
        for byte in data:
            if byte == self._keys[self._matched]:
                self._matched += 1
                if self._matched == len(self._keys):
                    return bytes(out), True
                continue
            out += self._keys[: self._matched]
            self._matched = 1 if byte == self._keys[0] else 0
            if not self._matched:
                out.append(byte)
        return bytes(out), False
