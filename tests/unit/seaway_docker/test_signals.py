import signal

import pytest

from seaway_docker.errors import InvalidParameter
from seaway_docker.signals import parse_signal


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("SIGTERM", 15),
        ("TERM", 15),
        ("sigterm", 15),
        ("15", 15),
        ("KILL", 9),
        ("SIGRTMIN", 34),
        ("RTMIN+3", 37),
        ("RTMAX-1", 63),
        ("RTMAX", 64),
        ("64", 64),
        ("CLD", 17),
        ("IOT", 6),
    ],
)
def test_names_and_numbers(text: str, number: int) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize("name", ["HUP", "INT", "QUIT", "USR1", "USR2", "STOP", "CONT", "WINCH", "XFSZ", "PWR", "SYS"])
def test_numbers_are_the_kernels(name: str) -> None:
    assert parse_signal(name) == signal.Signals[f"SIG{name}"].value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SIGFOO", "invalid signal: SIGFOO"),
        ("0", "invalid signal: 0"),
        ("9 ", "invalid signal: 9 "),
        ("", "invalid signal: "),
        ("RTMIN+0", "invalid signal: RTMIN+0"),
        ("99", "the linux daemon does not support signal 99"),
        ("65", "the linux daemon does not support signal 65"),
        ("-1", "the linux daemon does not support signal -1"),
    ],
)
def test_bad_signals(text: str, message: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        parse_signal(text)
    assert str(caught.value) == message
