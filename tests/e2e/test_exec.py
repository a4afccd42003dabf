"""`docker exec`: streams, terminals, exit codes, who and where it runs, events, and what the API says of it."""

import hashlib
import json
import os
import re
import signal
import socket
import threading
import time
from typing import Any

import docker
import pytest
from e2e_rig.api import Api, EventStream, Reply, connect, frames
from e2e_rig.docker_cli import CommandFailed, DockerCli
from e2e_rig.waits import eventually
from test_events import past

IDLE = ("sleep", "1000")


@pytest.fixture
def box(cli: DockerCli, name: str) -> str:
    """A container that idles."""
    cli("run", "-d", "--name", name, "--network", "none", "busybox", *IDLE)
    return name


def create(api: Api, container: str, *words: str, **body: Any) -> str:
    reply = api.request("POST", f"/containers/{container}/exec", {"Cmd": list(words), "AttachStdout": True, **body})
    assert reply.status == 201, reply
    return str(reply.json()["Id"])


def start(api: Api, identifier: str, send: bytes = b"", *, tty: bool = False, upgrade: bool = True) -> bytes:
    """An attached start, byte by byte; the client half-closes behind what it sends."""
    body = json.dumps({"Detach": False, "Tty": tty}).encode()
    asks = "Connection: Upgrade\r\nUpgrade: tcp\r\n" if upgrade else ""
    head = f"POST /v1.45/exec/{identifier}/start HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n{asks}"
    with connect(api.path) as client:
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body + send)
        if upgrade:  # of a plain request, a half-close is the client's farewell
            client.shutdown(socket.SHUT_WR)
        found = b""
        while piece := client.recv(65536):
            found += piece
    return found


def output(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def detached(api: Api, identifier: str) -> Reply:
    return api.request("POST", f"/exec/{identifier}/start", {"Detach": True})


@pytest.mark.seaway_only
def test_a_client_that_reads_late_gets_the_head_by_itself(api: Api, box: str) -> None:
    """docker-py reads it through a buffer, and all else past that: it would lose what came with the head."""
    identifier = create(api, box, "echo", "said")
    head = f"POST /v1.45/exec/{identifier}/start HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
    upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{}"
    with connect(api.path) as client:
        client.sendall(f"{head}{upgrade}".encode())
        eventually(lambda: api.get(f"/exec/{identifier}/json")["ExitCode"] == 0, "the exec's end")
        assert client.recv(65536).endswith(b"\r\n\r\n")
        found = b""
        while piece := client.recv(65536):
            found += piece
    assert frames(found) == {1: b"said\n"}


@pytest.mark.parametrize("options", [(), ("-t",), ("--privileged",)], ids=str)
def test_it_is_as_likely_to_be_ended_where_memory_is_short_as_its_container(
    cli: DockerCli, name: str, options: tuple[str, ...]
) -> None:
    cli("run", "-d", "--name", name, "--network", "none", "--oom-score-adj", "300", "busybox", *IDLE)
    assert cli("exec", *options, name, "cat", "/proc/self/oom_score_adj").out.split() == ["300"]


@pytest.mark.parametrize("runtime", ["crun", "runc"])
@pytest.mark.parametrize("security", [(), ("--security-opt", "no-new-privileges")], ids=["", "no-new-privileges"])
def test_it_has_its_containers_seccomp_filter(
    cli: DockerCli, name: str, runtime: str, security: tuple[str, ...]
) -> None:
    cli("run", "-d", "--name", name, "--network", "none", "--runtime", runtime, *security, "busybox", *IDLE)
    script = "unshare --user true 2>&1; grep Seccomp: /proc/self/status"
    for options in ((), ("-t",), ("--privileged",)):
        said = cli("exec", *options, name, "sh", "-c", script).out
        assert "Operation not permitted" in said
        assert "Seccomp:\t2" in said


def test_streams_and_exit_code(cli: DockerCli, box: str) -> None:
    result = cli.try_("exec", box, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (result.out, result.err, result.code) == ("out", "err", 7)


def test_input_comes_to_its_end(cli: DockerCli, box: str) -> None:
    assert cli("exec", "-i", box, "sh", "-c", "cat; echo end", input="words\n").lines == ["words", "end"]


def test_without_i_input_is_empty(cli: DockerCli, box: str) -> None:
    assert cli("exec", box, "sh", "-c", "cat; echo end", input="lost\n").out == "end"


def test_ten_megabytes_through_cat(cli: DockerCli, box: str) -> None:
    data = os.urandom(1 << 20) * 10
    found = cli("exec", "-i", box, "cat", input=data).stdout
    assert hashlib.sha256(found).digest() == hashlib.sha256(data).digest()


def test_output_right_before_the_end_is_whole(cli: DockerCli, box: str) -> None:
    found = cli("exec", box, "seq", "1", "100000").stdout
    assert found == b"".join(b"%d\n" % number for number in range(1, 100_001))


def test_a_child_that_keeps_the_output_open_holds_nobody_up(cli: DockerCli, box: str) -> None:
    assert cli("exec", box, "sh", "-c", "sleep 100 & echo hi", timeout=20).out == "hi"


def test_many_at_once(cli: DockerCli, box: str) -> None:
    outputs: dict[int, str] = {}

    def run(number: int) -> None:
        outputs[number] = cli("exec", "-i", box, "cat", input=f"line {number}\n").out

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert outputs == {number: f"line {number}" for number in range(8)}


def test_a_client_that_goes_ends_the_input(cli: DockerCli, api: Api, box: str) -> None:
    with cli.spawn("exec", "-i", box, "sh", "-c", "echo up; cat; echo done > /done") as client:
        assert client.stdout is not None and client.stdout.readline() == b"up\n"
        client.kill()
    eventually(lambda: cli.try_("exec", box, "cat", "/done").out == "done", "the end of its input")


# --- who, where, with what


def test_environment(cli: DockerCli, name: str) -> None:
    cli("run", "-d", "--name", name, "--env", "A=container", "--env", "B=container", "busybox", *IDLE)
    found = cli("exec", "--env", "A=exec", "--env", "C=exec", name, "env").lines
    assert {"A=exec", "B=container", "C=exec", "HOME=/root"} <= set(found)
    assert not any(line.startswith("TERM=") for line in found)
    assert "TERM=xterm" in cli("exec", "-t", name, "env").stdout.decode().split("\r\n")


def test_user_and_group(cli: DockerCli, box: str) -> None:
    assert cli("exec", "--user", "1000:7", box, "id", "-u").out == "1000"
    assert cli("exec", "--user", "1000:7", box, "id", "-g").out == "7"
    result = cli.try_("exec", "--user", "nobody-here", box, "true")
    words = "unable to find user nobody-here: no matching entries in passwd file"
    assert (result.code, result.out.rstrip()) == (126, words)


def test_users_are_those_of_the_container_as_it_is_now(cli: DockerCli, box: str) -> None:
    cli("exec", box, "sh", "-c", "echo fresh:x:4321:4321::/home/fresh:/bin/sh >> /etc/passwd")
    assert cli("exec", "--user", "fresh", box, "sh", "-c", "id -u; echo $HOME").lines == ["4321", "/home/fresh"]


def test_working_directory(cli: DockerCli, name: str) -> None:
    cli("run", "-d", "--name", name, "--workdir", "/made", "busybox", *IDLE)
    assert cli("exec", name, "pwd").out == "/made"
    assert cli("exec", "--workdir", "/etc", name, "pwd").out == "/etc"
    result = cli.try_("exec", "--workdir", "/nowhere", name, "pwd")
    assert result.code == 126 and 'chdir to cwd ("/nowhere")' in result.out


def test_privileges(cli: DockerCli, box: str) -> None:
    plain = cli("exec", box, "grep", "CapEff", "/proc/self/status").out
    assert plain == cli("exec", box, "grep", "CapEff", "/proc/1/status").out
    all_of_them = cli("exec", "--privileged", box, "grep", "CapEff", "/proc/self/status").out
    assert int(all_of_them.split()[1], 16) > int(plain.split()[1], 16)


def test_a_container_of_a_user_without_rights(cli: DockerCli, name: str) -> None:
    cli("run", "-d", "--name", name, "--user", "1000:1000", "--cap-drop", "ALL", "busybox", *IDLE)
    found = cli("exec", name, "sh", "-c", "id -u; grep -E 'Cap(Prm|Eff|Bnd)' /proc/self/status").out.split()
    assert found[0] == "1000" and set(found[2::2]) == {"0" * 16}


# --- programs that can't be run


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("nothing", 'exec: "nothing": executable file not found in $PATH: unknown'),
        ("/nothing", 'exec: "/nothing": stat /nothing: no such file or directory: unknown'),
        ("/etc/passwd", 'exec: "/etc/passwd": permission denied: unknown'),
    ],
)
@pytest.mark.parametrize("terminal", [False, True])
def test_a_program_that_cannot_be_run(api: Api, box: str, program: str, words: str, terminal: bool) -> None:
    identifier = create(api, box, program, Tty=terminal)
    said = output(start(api, identifier, tty=terminal))
    text = f"OCI runtime exec failed: exec failed: unable to start container process: {words}\r\n".encode()
    assert said == text if terminal else frames(said) == {1: text}
    shown = api.get(f"/exec/{identifier}/json")
    assert (shown["Running"], shown["ExitCode"], shown["Pid"]) == (False, 126, 0)


def test_a_program_that_cannot_be_run_detached(api: Api, box: str) -> None:
    reply = detached(api, create(api, box, "nothing"))
    assert reply.status == 400 and reply.message.endswith('"nothing": executable file not found in $PATH: unknown')


# --- terminals


def size(terminal: Any) -> str:
    terminal.type("stty size\n")
    return str(terminal.expect(r"\n(\d+ \d+)\r\n")[1])


def test_terminal_has_size_and_echo(cli: DockerCli, box: str) -> None:
    with cli.terminal("exec", "-it", box, "sh", rows=33, columns=99) as terminal:
        terminal.expect("# ")
        terminal.type("tty; echo $TERM\n")
        terminal.expect(r"/dev/pts/\d+\r\nxterm\r\n")
        assert size(terminal) == "33 99"
        terminal.resize(20, 60)
        os.kill(terminal.pid, signal.SIGWINCH)
        eventually(lambda: size(terminal) == "20 60", "the window's new size")
        terminal.type("exit 5\n")
        assert terminal.wait() == 5


def test_control_c_ends_a_program_on_a_terminal(cli: DockerCli, box: str) -> None:
    script = "trap 'echo int; exit 4' INT; echo up; while :; do sleep 0.05; done"
    with cli.terminal("exec", "-it", box, "sh", "-c", script) as terminal:
        terminal.expect("up\r\n")
        terminal.type("\x03")
        terminal.expect(r"\^Cint")
        assert terminal.wait() == 4


def test_of_many_sizes_the_last_one_stays(api: Api, box: str) -> None:
    """As when a window is dragged."""
    script = 'until [ "$(stty size)" = "99 71" ]; do sleep 0.02; done; stty size'
    identifier = create(api, box, "sh", "-c", script, Tty=True, AttachStdout=True, ConsoleSize=[10, 20])
    exchange = connect(api.path)
    body = b'{"Tty":true}'
    head = f"POST /exec/{identifier}/start HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
    exchange.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    seen = exchange.recv(1)  # it has been started by then
    for height in range(60, 100):
        assert api.request("POST", f"/exec/{identifier}/resize?h={height}&w=71").status == 200
    with exchange:
        while piece := exchange.recv(65536):
            seen += piece
    assert seen.endswith(b"99 71\r\n")


def test_its_terminal_has_the_size_that_was_asked_for_from_the_first_moment_on(api: Api, box: str) -> None:
    """Also on a busy machine: the container keeps all processors busy."""
    loops = "for i in 1 2 3 4 5 6; do while :; do :; done & done; wait"
    assert detached(api, create(api, box, "sh", "-c", loops)).status == 200
    for _ in range(30):
        identifier = create(api, box, "stty", "size", Tty=True, AttachStdin=True, ConsoleSize=[33, 44])
        assert output(start(api, identifier, tty=True)) == b"33 44\r\n"


def test_a_program_on_a_sized_terminal_keeps_its_job_control_and_exit_code(api: Api, box: str) -> None:
    for script, code in (("kill -9 $$", 137), ("set -m; sleep 0 & wait; exit 5", 5), ("nothing", 127)):
        identifier = create(api, box, "sh", "-c", script, Tty=True, ConsoleSize=[33, 44])
        start(api, identifier, tty=True)
        eventually(lambda made=identifier: api.get(f"/exec/{made}/json")["ExitCode"] is not None, "its end")  # type: ignore[misc]
        assert api.get(f"/exec/{identifier}/json")["ExitCode"] == code


def test_detach_keys_leave_it_running(cli: DockerCli, api: Api, box: str) -> None:
    with cli.terminal("exec", "-it", "--detach-keys", "ctrl-a,x", box, "sh") as terminal:
        terminal.expect("# ")
        terminal.type("\x01x")
        terminal.wait()
    (identifier,) = api.get(f"/containers/{box}/json")["ExecIDs"]
    assert api.get(f"/exec/{identifier}/json")["Running"] is True


def test_detach_keys_that_come_to_the_engine_are_told_of(api: Api, box: str) -> None:
    keys = {"DetachKeys": "ctrl-a,x", "Tty": True, "AttachStdin": True}
    with EventStream(api) as events:
        identifier = create(api, box, "cat", **keys)
        assert output(start(api, identifier, b"hi\x01x", tty=True)) in (b"", b"hi")
        seen = events.until("exec_detach")
    assert seen[-1]["Actor"]["Attributes"]["execID"] == identifier
    assert api.get(f"/exec/{identifier}/json")["Running"] is True


# --- events, and what the API says


def test_events_tell_of_it(api: Api, box: str) -> None:
    with EventStream(api) as events:
        identifier = create(api, box, "sh", "-c", "exit 3")
        start(api, identifier)
        seen = [(event["Action"], event["Actor"]["Attributes"]) for event in events.until("exec_die")]
    assert [action for action, _ in seen] == ["exec_create: sh -c exit 3", "exec_start: sh -c exit 3", "exec_die"]
    assert all(attributes["execID"] == identifier for _, attributes in seen)
    assert seen[-1][1]["exitCode"] == "3" and "execCommand" not in seen[0][1]


def test_inspect(api: Api, box: str) -> None:
    container = api.get(f"/containers/{box}/json")["Id"]
    identifier = create(api, box, "sh", "-c", "exit 3", AttachStderr=True, User="0", DetachKeys="ctrl-a")
    expected = {
        "ID": identifier,
        "Running": False,
        "ExitCode": None,
        "ProcessConfig": {
            "tty": False, "entrypoint": "sh", "arguments": ["-c", "exit 3"], "privileged": False, "user": "0",
        },
        "OpenStdin": False, "OpenStderr": True, "OpenStdout": True, "CanRemove": False,
        "ContainerID": container, "DetachKeys": "ctrl-a", "Pid": 0,
    }  # fmt: skip
    assert api.get(f"/exec/{identifier}/json") == expected
    assert api.get(f"/containers/{box}/json")["ExecIDs"] == [identifier]
    start(api, identifier)
    shown = api.get(f"/exec/{identifier}/json")
    assert shown.pop("Pid") > 0
    assert shown == {key: value for key, value in expected.items() if key != "Pid"} | {"ExitCode": 3}
    eventually(lambda: api.get(f"/containers/{box}/json")["ExecIDs"] is None, "no more execs")


def test_hijack_to_the_byte(api: Api, box: str) -> None:
    head, _, body = start(api, create(api, box, "echo", "hi")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 UPGRADED\r\n")
    assert b"Content-Type: application/vnd.docker.multiplexed-stream\r\n" in head
    assert body == b"\x01\0\0\0\0\0\0\x03hi\n"
    plain = start(api, create(api, box, "echo", "hi"), upgrade=False)
    assert plain.startswith(b"HTTP/1.1 200 OK\r\n") and plain.endswith(b"\r\n\r\n\x01\0\0\0\0\0\0\x03hi\n")


def test_a_second_start(api: Api, box: str) -> None:
    identifier = create(api, box, "true")
    start(api, identifier)
    text = f"Error: Exec command {identifier} has already run"
    assert frames(output(start(api, identifier))) == {1: f"{text}\r\n".encode()}
    reply = detached(api, identifier)
    assert (reply.status, reply.message) == (409, text)
    sleeper = create(api, box, "sleep", "100")
    assert (detached(api, sleeper).status, detached(api, sleeper).status) == (200, 409)


def test_detached_runs_on(cli: DockerCli, box: str) -> None:
    cli("exec", "-d", box, "sh", "-c", "echo yes > /there")
    eventually(lambda: cli.try_("exec", box, "cat", "/there").out == "yes", "the file")


def test_one_that_ends_its_container_by_a_file(cli: DockerCli, api: Api, name: str) -> None:
    """It has ended before the container, and is told of before. That one's end may be quicker than its own."""
    for _ in range(5):
        since = time.time()
        cli("run", "-d", "--name", name, "busybox", "sh", "-c", "while [ ! -e /stop ]; do :; done; exit 3")
        assert cli.try_("exec", name, "touch", "/stop").code in (0, 128 + signal.SIGKILL)
        assert cli("wait", name).out == "3"
        told = [event["Action"] for event in past(api, since, container=name) if event["Action"].endswith("die")]
        assert told == ["exec_die", "die"]
        cli("rm", name)


def test_refusals(api: Api, box: str) -> None:
    def ask(container: str, **body: Any) -> tuple[int, str]:
        reply = api.request("POST", f"/containers/{container}/exec", body)
        return reply.status, reply.message

    assert ask(box) == (400, "No exec command specified")
    assert ask("nothing", Cmd=["true"]) == (404, "No such container: nothing")
    for identifier in ("nothing", "a" * 64):
        reply = api.request("GET", f"/exec/{identifier}/json")
        assert (reply.status, reply.message) == (404, f"No such exec instance: {identifier}")
    ended = create(api, box, "true")
    start(api, ended)
    assert api.request("POST", f"/exec/{ended}/resize?h=10&w=10").status == 404
    assert api.request("POST", f"/exec/{ended}/resize?h=a&w=10").status == 400


@pytest.mark.seaway_only
def test_a_long_command_runs_and_its_events_are_told(api: Api, name: str) -> None:
    """What it runs is not in the stream, however long; and live it is shown."""
    since, box = time.time(), name
    body = {"Image": "busybox", "Cmd": IDLE, "Labels": {"long": "x" * 40_000}, "HostConfig": {"NetworkMode": "none"}}
    assert api.request("POST", f"/containers/create?name={box}", body).status == 201
    assert api.request("POST", f"/containers/{box}/start").status == 204
    words = ["x" * 100_000] * 50
    reply = api.request("POST", f"/containers/{box}/exec", {"Cmd": ["true", *words]})
    assert reply.status == 201, reply
    identifier = reply.json()["Id"]
    assert len(api.get(f"/exec/{identifier}/json")["ProcessConfig"]["arguments"]) == len(words)
    assert detached(api, identifier).status == 200
    small = create(api, box, "true")
    start(api, small)

    def told(of: str) -> list[str]:
        events = past(api, since, container=box)
        return [event["Action"].split(":")[0] for event in events if event["Actor"]["Attributes"].get("execID") == of]

    for one in (small, identifier):
        eventually(lambda: "exec_die" in told(one), "its end")  # noqa: B023
        assert told(one) == ["exec_create", "exec_start", "exec_die"]


@pytest.mark.seaway_only
def test_labels_that_no_event_could_carry_are_refused(api: Api, name: str) -> None:
    body = {"Image": "busybox", "Cmd": IDLE, "Labels": {"long": "x" * 70_000}}
    reply = api.request("POST", f"/containers/create?name={name}", body)
    assert reply.status == 413 and "make its labels smaller" in reply.json()["message"]
    assert api.request("GET", f"/containers/{name}/json").status == 404


def test_only_in_containers_that_run(cli: DockerCli, api: Api, box: str) -> None:
    container = api.get(f"/containers/{box}/json")["Id"]
    waiting = create(api, box, "true")
    cli("pause", box)
    refused = api.request("POST", f"/containers/{box}/exec", {"Cmd": ["true"]})
    text = f"Container {box} is paused, unpause the container before exec"
    assert (refused.status, refused.message) == (409, text)
    assert b"409 Conflict" in start(api, waiting)
    cli("unpause", box)
    cli("kill", box)
    cli("wait", box)
    refused = api.request("POST", f"/containers/{box}/exec", {"Cmd": ["true"]})
    assert (refused.status, refused.message) == (409, f"container {container} is not running")
    assert detached(api, waiting).status == 404


def test_restarting_containers_take_none(cli: DockerCli, api: Api, name: str) -> None:
    cli("run", "-d", "--name", name, "--restart", "always", "busybox", "false")

    def refusal() -> str:
        reply = api.request("POST", f"/containers/{name}/exec", {"Cmd": ["true"]})
        return reply.message if reply.status == 409 else ""

    eventually(lambda: "is restarting, wait until the container is running" in refusal(), "the refusal")


def test_it_ends_with_its_container(cli: DockerCli, api: Api, box: str) -> None:
    identifier = create(api, box, "sleep", "100")
    assert detached(api, identifier).status == 200
    with EventStream(api) as events:
        cli("kill", box)
        told = [event for event in events.until("die") if event["Action"] in ("exec_die", "die")]
    assert [event["Action"] for event in told] == ["exec_die", "die"]
    assert told[0]["Actor"]["Attributes"] | {"execID": identifier, "exitCode": "137"} == told[0]["Actor"]["Attributes"]
    shown = api.get(f"/exec/{identifier}/json")
    assert (shown["Running"], shown["ExitCode"]) == (False, 137)


def test_it_ends_with_a_container_of_the_hosts_processes(cli: DockerCli, api: Api, name: str) -> None:
    cli("run", "-d", "--name", name, "--pid", "host", "busybox", *IDLE)
    with cli.spawn("exec", name, "sh", "-c", "echo up; sleep 100") as client:
        assert client.stdout is not None and client.stdout.readline() == b"up\n"
        cli("kill", name)
        assert client.wait(20) == 137


def test_docker_py(py: docker.DockerClient) -> None:
    container = py.containers.run("busybox", list(IDLE), detach=True)
    code, (out, err) = container.exec_run(["sh", "-c", "echo out; echo err >&2; exit 9"], demux=True)
    assert (code, out, err) == (9, b"out\n", b"err\n")
    assert b"".join(container.exec_run("seq 1 3", stream=True).output) == b"1\n2\n3\n"


def test_cli_names_what_is_wrong(cli: DockerCli, box: str) -> None:
    with pytest.raises(CommandFailed, match=re.escape("No such container: nothing")):
        cli("exec", "nothing", "true")


def owner_of_null() -> tuple[int, int, int]:
    about = os.stat(os.devnull)
    return about.st_uid, about.st_gid, about.st_mode


def test_nobody_gets_the_hosts_null_device(cli: DockerCli, name: str) -> None:
    """It is what an exec without input reads."""
    before = owner_of_null()
    cli("run", "-d", "--name", name, "--network", "none", "busybox", *IDLE)
    assert cli("exec", "-u", "1000:100", name, "sh", "-c", "chmod 600 /proc/self/fd/0; cat").stdout == b""
    cli("exec", "-d", "-u", "1000:100", name, "sh", "-c", "chmod 600 /proc/self/fd/0; mkdir /tmp/was")
    eventually(lambda: cli("exec", name, "ls", "/tmp").stdout.split() == [b"was"])
    assert owner_of_null() == before
