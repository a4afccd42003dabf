"""Signals by name or number, on Linux, as Docker's API takes them (moby/sys/signal)."""

import re

from seaway_docker.errors import InvalidParameter

_NUMBER = re.compile(r"[+-]?[0-9]{1,9}")
_HIGHEST = 64
_RTMIN = 34
_RTMAX = 64

_NAMES = re.findall(
    r"\w+",
    "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT "
    "CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS",
)
_NUMBERS: dict[str, int] = {name: number for number, name in enumerate(_NAMES, start=1)}
_NUMBERS |= {"CLD": 17, "IOT": 6, "POLL": 29, "RTMIN": _RTMIN, "RTMAX": _RTMAX}
_NUMBERS |= {f"RTMIN+{n}": _RTMIN + n for n in range(1, 16)}
_NUMBERS |= {f"RTMAX-{n}": _RTMAX - n for n in range(1, 15)}


def parse_signal(text: str) -> int:
    """`SIGTERM`, `term` or `15` -> 15. Raises InvalidParameter with Docker's text."""
    if _NUMBER.fullmatch(text):
        return _checked_number(int(text), text)
    number = _NUMBERS.get(text.upper().removeprefix("SIG"))
    if number is None:
        raise InvalidParameter(f"invalid signal: {text}")
    return number


def _checked_number(number: int, text: str) -> int:
    if number == 0:
        raise InvalidParameter(f"invalid signal: {text}")
    if not 0 < number <= _HIGHEST:
        raise InvalidParameter(f"the linux daemon does not support signal {number}")
    return number
