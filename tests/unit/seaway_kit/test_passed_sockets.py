"""Sockets from systemd: for this process alone, and only such that can be served."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from seaway_kit.passed_sockets import take_sockets


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[int]:
    """The number of the first of two neighbouring descriptors, both of listening sockets."""
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "s"))
        unix.listen()
        first = 200
        os.dup2(tcp.fileno(), first)
        os.dup2(unix.fileno(), first + 1)
        yield first
        for number in (first, first + 1):
            try:
                os.close(number)
            except OSError:
                continue


def passed(count: str = "2", pid: str = "") -> dict[str, str]:
    return {"LISTEN_PID": pid or str(os.getpid()), "LISTEN_FDS": count, "LISTEN_FDNAMES": "a:b", "OTHER": "x"}


def test_they_are_taken_once(pair: int) -> None:
    env = passed()
    tcp, unix = take_sockets(env, pair)
    assert (tcp.family, unix.family) == (socket.AF_INET, socket.AF_UNIX)
    assert [one.fileno() for one in (tcp, unix)] == [pair, pair + 1]
    assert not tcp.getblocking() and not tcp.get_inheritable()
    assert env == {"OTHER": "x"}
    assert take_sockets(env, pair) == []
    for one in (tcp, unix):
        one.close()


@pytest.mark.parametrize("env", [{}, passed(pid="1"), passed(count="many"), passed(count="")])
def test_without_any_or_meant_for_another(env: dict[str, str]) -> None:
    assert take_sockets(dict(env)) == []


def test_what_does_not_listen_is_refused(pair: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wrong:
        os.dup2(wrong.fileno(), pair + 1)
    with pytest.raises(OSError, match=f"the socket {pair + 1} that was passed doesn't listen"):
        take_sockets(passed(), pair)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(pair)


def test_what_is_no_socket_is_refused(pair: int, tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as wrong:
        os.dup2(wrong.fileno(), pair)
    with pytest.raises(OSError, match="is no socket"):
        take_sockets(passed(), pair)
