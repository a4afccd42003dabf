"""stdin, stdout and stderr through `run`, `start`, `attach`; terminals; detaching."""

import hashlib
import itertools
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_rig.api import Api, connect
from e2e_rig.docker_cli import DockerCli
from e2e_rig.engine import Engine
from e2e_rig.seaway import Seaway
from e2e_rig.waits import eventually

from seaway_docker.stdcopy import Decoder

HIJACK = (
    "POST /v1.45/containers/{}/attach?stream=1&stdin=1&stdout=1&stderr=1 HTTP/1.1\r\n"
    "Host: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n"
)


def test_a_pipe_into_cat_prints_and_ends(cli: DockerCli) -> None:
    result = cli("run", "-i", "--rm", "busybox", "cat", input="hi\n")
    assert (result.out, result.code) == ("hi", 0)


def test_many_pipes_at_once(cli: DockerCli) -> None:
    outputs: dict[int, str] = {}

    def run(number: int) -> None:
        outputs[number] = cli("run", "-i", "--rm", "busybox", "cat", input=f"line {number}\n").out

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert outputs == {number: f"line {number}" for number in range(8)}


def test_fifty_megabytes_through_cat(cli: DockerCli) -> None:
    data = os.urandom(1 << 20) * 50
    result = cli("run", "-i", "--rm", "busybox", "cat", input=data, timeout=110)
    assert len(result.stdout) == len(data)
    assert hashlib.sha256(result.stdout).digest() == hashlib.sha256(data).digest()


@pytest.mark.parametrize("words", [("run", "-i", "--rm", "busybox"), ("exec", "-i", "host")], ids=["run", "exec"])
def test_output_is_whole_where_input_is_left_unread(engine: Engine, cli: DockerCli, words: tuple[str, ...]) -> None:
    """The program ends while its input still waits in the agent; the agent lives on."""
    cli("run", "-d", "--name", "host", "busybox", "sleep", "600")
    before = engine.processes()
    for _ in range(10):
        result = cli.try_(*words, "echo", "hello", input=bytes(2_000_000))
        assert (result.code, result.stdout, result.err) == (0, b"hello\n", "")
    cli("rm", "-f", "host")
    assert engine.processes() == before


def test_large_output_before_the_end_is_whole(cli: DockerCli) -> None:
    result = cli("run", "--rm", "busybox", "sh", "-c", "seq 1 200000; exit 3 & seq 1 10 >&2")
    assert result.stdout == b"".join(b"%d\n" % n for n in range(1, 200_001))
    assert result.err.split() == [str(n) for n in range(1, 11)]


def test_stdout_and_stderr_stay_apart(cli: DockerCli) -> None:
    result = cli("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2")
    assert (result.out, result.err) == ("out", "err")


def test_without_i_stdin_is_empty(cli: DockerCli) -> None:
    assert cli("run", "--rm", "busybox", "sh", "-c", "cat; echo end", input="lost\n").out == "end"


def test_choosing_streams(cli: DockerCli) -> None:
    result = cli("run", "--rm", "-a", "stderr", "busybox", "sh", "-c", "echo out; echo err >&2")
    assert (result.out, result.err) == ("", "err")


def test_half_closed_attach_keeps_its_other_half(api: Api) -> None:
    body = {
        "Image": "busybox",
        "Cmd": ["sh", "-c", "wc -c; sleep 0.2; echo later"],
        "OpenStdin": True,
        "StdinOnce": True,
    }
    container = api.request("POST", "/containers/create", body).json()["Id"]
    with connect(api.path) as client:
        client.sendall(HIJACK.format(container).encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        assert head.startswith(b"HTTP/1.1 101 UPGRADED\r\n")
        assert b"Content-Type: application/vnd.docker.multiplexed-stream\r\n" in head
        assert b"Connection: Upgrade\r\n" in head and b"Upgrade: tcp\r\n" in head
        assert api.request("POST", f"/containers/{container}/start").status == 204
        client.sendall(b"12345")
        client.shutdown(socket.SHUT_WR)
        rest = head.partition(b"\r\n\r\n")[2]
        while piece := client.recv(4096):
            rest += piece
    assert rest == b"\x01\0\0\0\0\0\0\x025\n" + b"\x01\0\0\0\0\0\0\x06later\n"


@pytest.mark.seaway_only
def test_half_closes_over_tcp(engine: Seaway, no_containers: None, docker_config: Path, name: str) -> None:
    """On the network there is no end of a file but a half-closed connection either."""
    cli = DockerCli(f"tcp://{engine.tcp}", docker_config)
    assert cli("run", "-i", "--rm", "busybox", "cat", input="hi\n").out == "hi"
    late = cli("run", "-i", "--rm", "busybox", "sh", "-c", "wc -c; sleep 1; echo late", input=bytes(5_000_000))
    assert late.lines == ["5000000", "late"]
    cli("create", "-i", "--name", name, "busybox", "sh", "-c", "cat; echo end")
    assert cli("start", "-ai", name, input="to it\n").lines == ["to it", "end"]


def attached(api: Api, container: str, query: str) -> Iterator[bytes]:
    """What a client gets of stdout, as it comes."""
    request = HIJACK.format(container).replace("stream=1&stdin=1&stdout=1&stderr=1", query)
    decoder = Decoder()
    with connect(api.path) as client:
        client.sendall(request.encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        data = head.partition(b"\r\n\r\n")[2] or client.recv(65536)
        while data:
            yield b"".join(piece for _, piece in decoder.feed(data))
            data = client.recv(65536)


def test_attach_with_logs_misses_nothing_of_a_busy_container(cli: DockerCli, api: Api, name: str) -> None:
    script = "i=0; while [ ! -e /stop ]; do i=$((i+1)); echo $i; done"
    container = cli("run", "-d", "--name", name, "busybox", "sh", "-c", script).out
    for _ in range(10):
        numbers: list[int] = []
        rest = b""
        for data in attached(api, container, "stream=1&logs=1&stdout=1&stderr=1"):
            *lines, rest = (rest + data).split(b"\n")
            numbers += map(int, lines)
            if len(lines) and numbers[-1] > 1000 and len(numbers) > numbers[0] + 20_000:
                break
        assert numbers[0] == 1
        gaps = [(one, two) for one, two in itertools.pairwise(numbers) if two > one + 1]
        assert gaps == []
    cli.try_("exec", name, "touch", "/stop")  # the container may end before it


def test_attach_with_logs_gives_all_of_them(cli: DockerCli, api: Api, name: str) -> None:
    container = cli("run", "-d", "--name", name, "busybox", "seq", "1", "3000000").out
    cli("wait", name)
    expected = b"".join(b"%d\n" % number for number in range(1, 3_000_001))
    assert b"".join(attached(api, container, "logs=1&stdout=1&stderr=1")) == expected


def test_attach_to_a_running_container(cli: DockerCli, name: str) -> None:
    cli("run", "-d", "-i", "--name", name, "busybox", "sh", "-c", "read line; echo got $line; exit 7")
    with cli.spawn("attach", name) as attached:
        assert attached.stdin is not None and attached.stdout is not None
        attached.stdin.write(b"words\n")
        attached.stdin.flush()
        assert attached.stdout.readline() == b"got words\n"
        assert attached.wait(20) == 7


def test_two_clients_see_the_same(cli: DockerCli, name: str) -> None:
    script = "while ! read -t 0.1 line; do echo tick; done; echo got $line"
    cli("run", "-d", "-i", "--name", name, "busybox", "sh", "-c", script)
    with cli.spawn("attach", "--no-stdin", name) as watcher, cli.spawn("attach", name) as writer:
        assert writer.stdin is not None and writer.stdout is not None and watcher.stdout is not None
        assert watcher.stdout.readline() == writer.stdout.readline() == b"tick\n"
        writer.stdin.write(b"words\n")
        writer.stdin.flush()
        for client in (watcher, writer):
            assert client.wait(20) == 0
            assert client.stdout is not None and client.stdout.read().endswith(b"got words\n")


def test_attach_to_one_that_does_not_run(cli: DockerCli) -> None:
    container = cli("create", "busybox").out
    result = cli.try_("attach", container)
    assert result.code == 1 and "You cannot attach to a stopped container" in result.err


def test_signals_go_to_the_container(cli: DockerCli) -> None:
    script = "trap 'echo caught; exit 9' USR1; echo up; while :; do sleep 0.05; done"
    with cli.spawn("run", "--rm", "busybox", "sh", "-c", script) as run:
        assert run.stdout is not None and run.stdout.readline() == b"up\n"
        run.send_signal(signal.SIGUSR1)
        assert run.stdout.readline() == b"caught\n"
        assert run.wait(20) == 9


def test_terminal_has_size_and_echo(cli: DockerCli) -> None:
    with cli.terminal("run", "-it", "--rm", "busybox", "sh", rows=33, columns=99) as terminal:
        terminal.expect("# ")
        terminal.type("tty; echo $TERM\n")
        terminal.expect(r"/dev/pts/0\r\nxterm\r\n")
        eventually(lambda: _size(terminal) == "33 99", "the window's size")
        terminal.resize(20, 60)
        os.kill(terminal.pid, signal.SIGWINCH)
        eventually(lambda: _size(terminal) == "20 60", "the window's new size")
        terminal.type("exit 5\n")
        assert terminal.wait() == 5


def _size(terminal: object) -> str:
    terminal.type("stty size\n")  # type: ignore[attr-defined]
    match: re.Match[str] = terminal.expect(r"\n(\d+ \d+)\r\n")  # type: ignore[attr-defined]
    return match[1]


def test_control_c_ends_a_program_on_a_terminal(cli: DockerCli) -> None:
    script = "trap 'echo int; exit 4' INT; echo up; while :; do sleep 0.05; done"
    with cli.terminal("run", "-it", "--rm", "busybox", "sh", "-c", script) as terminal:
        terminal.expect("up\r\n")
        terminal.type("\x03")
        terminal.expect(r"\^Cint")
        assert terminal.wait() == 4


def test_detach_keys_leave_it_running_and_attach_takes_it_up(cli: DockerCli, name: str) -> None:
    with cli.terminal("run", "-it", "--name", name, "busybox", "sh") as terminal:
        terminal.expect("# ")
        terminal.type("\x10\x11")
        assert terminal.wait() == 0
    assert cli("inspect", name, "--format", "{{.State.Running}}").out == "true"
    with cli.terminal("attach", "--detach-keys", "ctrl-a", name) as terminal:
        terminal.type("echo back\n")
        terminal.expect(r"\nback\r\n")
        terminal.type("\x01")
        assert terminal.wait() == 1
    assert cli("inspect", name, "--format", "{{.State.Running}}").out == "true"


def test_i_and_t_without_a_terminal(cli: DockerCli) -> None:
    result = cli.try_("run", "-it", "--rm", "busybox", "true")
    assert result.code == 1 and "the input device is not a TTY" in result.err


def test_output_on_a_terminal_is_raw(cli: DockerCli) -> None:
    assert cli("run", "-t", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2").stdout == b"out\r\nerr\r\n"


def test_reader_that_hangs_up_does_not_stop_the_container(cli: DockerCli, name: str) -> None:
    script = "n=0; while [ $n -lt 3000 ]; do n=$((n+1)); echo $n 0123456789012345678901234567890123456789; done; exit 6"
    with cli.spawn("run", "--name", name, "busybox", "sh", "-c", script) as run:
        assert run.stdout is not None and run.stdout.readline().startswith(b"1 ")
        run.kill()
    assert cli("wait", name).out == "6"
    assert cli("logs", "--tail", "1", name).out.startswith("3000 ")
