"""Sockets: who may be replaced, who may connect, what is left."""

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from seaway_kit.listeners import listen_on, take_sockets


def test_a_socket_is_for_owner_and_group(tmp_path: Path) -> None:
    listener = listen_on(f"unix://{tmp_path}/sub/docker.sock", "no-such-group-here")
    made = (tmp_path / "sub/docker.sock").stat()
    assert stat.S_IMODE(made.st_mode) == 0o660
    assert made.st_gid == os.getegid()
    assert os.listdir(tmp_path / "sub") == ["docker.sock"]
    listener.close()
    assert os.listdir(tmp_path / "sub") == []


def test_the_dead_are_replaced_and_the_living_are_not(tmp_path: Path) -> None:
    host = f"unix://{tmp_path}/docker.sock"
    dead = listen_on(host)
    with pytest.raises(OSError, match="another server answers there"):
        listen_on(host)
    dead.socket.close()
    listen_on(host).close()


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "docker.sock").write_text("precious")
    with pytest.raises(OSError, match="something else than a socket"):
        listen_on(f"unix://{tmp_path}/docker.sock")
    assert (tmp_path / "docker.sock").read_text() == "precious"


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"can't listen on tcp://127.0.0.1:{port}"):
            listen_on(f"tcp://127.0.0.1:{port}")


def test_a_path_that_another_has_by_now_is_left(tmp_path: Path) -> None:
    host = f"unix://{tmp_path}/docker.sock"
    first = listen_on(host)
    (tmp_path / "docker.sock").unlink()
    second = listen_on(host)
    first.close()
    assert (tmp_path / "docker.sock").exists()
    second.close()
    assert os.listdir(tmp_path) == []


def test_any_free_port_is_told() -> None:
    listener = listen_on("tcp://127.0.0.1:0")
    port = listener.socket.getsockname()[1]
    assert listener.host == f"tcp://127.0.0.1:{port}"
    listener.close()
    listen_on(listener.host).close()


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
