"""docker logs."""

import calendar
import re
import time

import docker
import pytest
from e2e_rig.api import Api, frames
from e2e_rig.docker_cli import DockerCli
from e2e_rig.waits import eventually

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (.*)")


@pytest.fixture
def talker(cli: DockerCli, name: str) -> str:
    """A container that has ended, with five lines on stdout and one on stderr."""
    cli(
        "run",
        "--name",
        name,
        "busybox",
        "sh",
        "-c",
        "for n in 1 2 3 4 5; do echo line $n; done; sleep 0.1; echo bad >&2",
    )
    return name


def test_logs_keep_the_streams_apart(cli: DockerCli, talker: str) -> None:
    result = cli("logs", talker)
    assert result.lines == [f"line {n}" for n in range(1, 6)]
    assert result.err == "bad"


@pytest.mark.parametrize(("tail", "lines"), [("0", 0), ("2", 1), ("3", 2), ("all", 5), ("100", 5)])
def test_tail_counts_lines_of_both_streams(cli: DockerCli, talker: str, tail: str, lines: int) -> None:
    result = cli("logs", "--tail", tail, talker)
    assert result.lines == [f"line {n}" for n in range(6 - lines, 6)]
    assert result.err == ("bad" if tail != "0" else "")


def test_timestamps(cli: DockerCli, talker: str) -> None:
    found = [STAMP.fullmatch(line) for line in cli("logs", "-t", talker).lines]
    assert [match and match[1] for match in found] == [f"line {n}" for n in range(1, 6)]


def test_since_and_until(cli: DockerCli, name: str) -> None:
    cli("run", "--name", name, "busybox", "sh", "-c", "echo early; sleep 1.2; echo late")
    stamps = [line.split()[0] for line in cli("logs", "-t", name).lines]
    assert cli("logs", "--since", stamps[1], name).lines == ["late"]
    assert cli("logs", "--until", stamps[0], name).lines in (["early"], [])
    middle = str(_seconds(stamps[0]) + 0.6)
    assert cli("logs", "--since", middle, name).lines == ["late"]
    assert cli("logs", "--until", middle, name).lines == ["early"]
    assert cli("logs", "--since", "1h", name).lines == ["early", "late"]
    assert cli("logs", "--since", "2099-01-01", name).lines == []


def _seconds(stamp: str) -> float:
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float(f"0.{fraction}")


def test_follow_across_the_end(cli: DockerCli, name: str) -> None:
    cli("run", "-d", "--name", name, "busybox", "sh", "-c", "echo one; sleep 0.3; echo two; sleep 0.3; echo three")
    result = cli("logs", "-f", name)
    assert result.lines == ["one", "two", "three"]


def test_follow_shows_lines_as_they_come(cli: DockerCli, name: str) -> None:
    cli("run", "-di", "--name", name, "busybox", "cat")
    with cli.spawn("logs", "-f", name) as follower, cli.spawn("attach", name) as writer:
        assert follower.stdout is not None and writer.stdin is not None
        for word in (b"a\n", b"b\n"):
            writer.stdin.write(word)
            writer.stdin.flush()
            assert follower.stdout.readline() == word
        cli("kill", name)
        assert follower.wait(20) == 0


def test_follow_with_tail(cli: DockerCli, name: str) -> None:
    cli("run", "-di", "--name", name, "busybox", "sh", "-c", "seq 1 100; read line; echo $line")
    eventually(lambda: "100" in cli("logs", name).lines, "the lines")
    with cli.spawn("logs", "-f", "--tail", "2", name) as follower, cli.spawn("attach", name) as writer:
        assert follower.stdout is not None
        assert [follower.stdout.readline() for _ in range(2)] == [b"99\n", b"100\n"]
        writer.communicate(b"end\n", 20)
        assert follower.stdout.read() == b"end\n"
        assert follower.wait(20) == 0


def test_last_line_without_newline_and_long_lines(cli: DockerCli, name: str) -> None:
    cli("run", "--name", name, "busybox", "sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x; printf '\\nrest'")
    assert cli("logs", name).stdout == b"x" * 100_000 + b"\nrest"


@pytest.mark.seaway_only  # Docker's json-file replaces what isn't UTF-8
def test_binary_output_is_kept(cli: DockerCli, name: str) -> None:
    cli("run", "--name", name, "busybox", "printf", "\\377\\000\\001\\n")
    assert cli("logs", name).stdout == b"\xff\x00\x01\n"


def test_logs_of_a_terminal(cli: DockerCli, name: str) -> None:
    cli("run", "-t", "--name", name, "busybox", "echo", "seen")
    assert cli("logs", name).stdout == b"seen\r\n"


def test_logs_over_two_runs(cli: DockerCli, talker: str) -> None:
    cli("start", "-a", talker)
    assert len(cli("logs", talker).lines) == 10


def test_logs_of_created_and_unknown(cli: DockerCli, api: Api) -> None:
    container = cli("create", "busybox").out
    assert cli("logs", container).out == ""
    assert "No such container: nothing" in cli.try_("logs", "nothing").err
    reply = api.request("GET", f"/containers/{container}/logs")
    assert (reply.status, reply.message) == (400, "Bad parameters: you must choose at least one stream")


def test_content_types(api: Api, cli: DockerCli, talker: str) -> None:
    reply = api.request("GET", f"/v1.45/containers/{talker}/logs?stdout=1")
    assert reply.headers["content-type"] == "application/vnd.docker.multiplexed-stream"
    assert reply.headers["transfer-encoding"] == "chunked"
    assert frames(reply.body) == {1: b"".join(b"line %d\n" % n for n in range(1, 6))}
    cli("run", "-t", "--name", f"{talker}-tty", "busybox", "echo", "raw")
    reply = api.request("GET", f"/v1.45/containers/{talker}-tty/logs?stdout=1")
    assert reply.headers["content-type"] == "application/vnd.docker.raw-stream"
    assert reply.body == b"raw\r\n"


def test_many_lines(cli: DockerCli, name: str) -> None:
    cli("run", "-d", "--name", name, "busybox", "seq", "1", "100000")
    cli("wait", name)
    assert cli("logs", name).stdout == b"".join(b"%d\n" % n for n in range(1, 100_001))


@pytest.mark.parametrize("options", [(), ("--log-opt", "max-size=256k", "--log-opt", "max-file=90")])
def test_removed_while_it_is_read(cli: DockerCli, py: docker.DockerClient, name: str, options: tuple[str, ...]) -> None:
    """Whoever has been answered gets all of it, however late it is read, as in `docker.containers.run(remove=True)`."""
    cli("run", "--name", name, "--network", "none", *options, "busybox", "seq", "100000")
    read = [py.containers.get(name).logs(stream=True, follow=follow) for follow in (True, False)]
    cli("rm", name)
    for lines in read:
        assert b"".join(lines) == b"".join(b"%d\n" % number for number in range(1, 100001))
