"""Lists of CPUs and memory nodes, such as `0-2,7` (moby pkg/parsers, ParseUintListMaximum)."""

from seaway_docker.errors import InvalidParameter

HIGHEST = 8192


def parse_cpuset(text: str) -> frozenset[int]:
    """The numbers of a list; empty for no text. Raises InvalidParameter with Docker's reason."""
    found: set[int] = set()
    for part in text.split(",") if text else ():
        first_text, dash, last_text = part.partition("-")
        first = _number(first_text, text)
        last = _number(last_text, text) if dash else first
        if last < first:
            raise InvalidParameter(f"invalid format: {text}")
        if last > HIGHEST:
            raise InvalidParameter(f"value of out range, maximum is {HIGHEST}")
        found.update(range(first, last + 1))
    return frozenset(found)


def _number(digits: str, text: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise InvalidParameter(f"invalid format: {text}")
    return int(digits)
