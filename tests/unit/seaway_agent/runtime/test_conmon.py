"""conmon's command line and its reports."""

from dataclasses import replace
from pathlib import Path

import pytest

from seaway_agent.runtime.conmon import Report, ShimPlan, exit_code, parse_report

PLAN = ShimPlan(
    container="abc",
    conmon="/usr/bin/conmon",
    runtime="/usr/bin/crun",
    runtime_root=Path("/run/s/crun"),
    bundle=Path("/run/s/c/abc"),
    exits=Path("/run/s/exits"),
    persist=Path("/run/s/persist/abc"),
    log=Path("/var/s/abc/ctr.log"),
    stdin=False,
    terminal=False,
    leave_stdin_open=False,
)


def value_of(argv: list[str], flag: str) -> str:
    return argv[argv.index(flag) + 1]


def test_the_places_of_a_container() -> None:
    argv = PLAN.argv()
    assert argv[0] == "/usr/bin/conmon"
    assert [value_of(argv, flag) for flag in ("-c", "-u", "-n")] == ["abc"] * 3
    assert value_of(argv, "-r") == "/usr/bin/crun"
    assert value_of(argv, "-b") == "/run/s/c/abc"
    assert value_of(argv, "-p") == str(PLAN.pid_file) == "/run/s/c/abc/pidfile"
    assert (value_of(argv, "--exit-dir"), value_of(argv, "--persist-dir")) == ("/run/s/exits", "/run/s/persist/abc")
    assert value_of(argv, "-l") == "k8s-file:/var/s/abc/ctr.log"
    assert {"--full-attach", "--sync", "--no-sync-log"} <= set(argv)


def test_the_runtimes_own_arguments() -> None:
    argv = replace(PLAN, runtime_args=("--platform", "kvm")).argv()
    passed = [word.removeprefix("--runtime-arg=") for word in argv if word.startswith("--runtime-arg=")]
    assert passed == ["--root", "/run/s/crun", "--platform", "kvm"]


@pytest.mark.parametrize(
    ("stdin", "terminal", "leave_open", "flags"),
    [
        (False, False, False, set()),
        (True, False, False, {"-i"}),
        (True, False, True, {"-i", "--leave-stdin-open"}),
        (False, True, True, {"-t"}),
        (True, True, True, {"-i", "-t", "--leave-stdin-open"}),
    ],
)
def test_stdin_and_terminal(stdin: bool, terminal: bool, leave_open: bool, flags: set[str]) -> None:
    argv = replace(PLAN, stdin=stdin, terminal=terminal, leave_stdin_open=leave_open).argv()
    assert {"-i", "-t", "--leave-stdin-open"} & set(argv) == flags


def test_without_a_log_file() -> None:
    argv = replace(PLAN, log=None).argv()
    assert not [word for word in argv if "k8s-file" in word]


def test_the_report_pipe_is_in_the_environment() -> None:
    env = PLAN.env()
    assert env["_OCI_SYNCPIPE"] == "3"
    assert "/usr/sbin" in env["PATH"]
    assert env["TMPDIR"] == "."  # the socket for a terminal goes with the bundle


@pytest.mark.parametrize(
    ("text", "report"),
    [
        (b'{"data": 42}\n', Report(42)),
        (b'{"data": 42}', Report(42)),
        (b'{"data": -1, "message": "no such\\nfile"}\n', Report(-1, "no such\nfile")),
        (b'{"data": 7}\n{"data": 8}\n', Report(7)),
        (b"", None),
        (b'{"data": 4', None),
        (b'{"data": -1, "message": "half', None),
    ],
)
def test_reports_come_whole_or_in_pieces(text: bytes, report: Report | None) -> None:
    assert parse_report(text) == report


@pytest.mark.parametrize("text", [b"garbage\n", b"[1]\n", b'{"pid": 1}\n', b'{"data": "x"}\n', b"\n"])
def test_garbage_is_no_report(text: bytes) -> None:
    with pytest.raises(ValueError):
        parse_report(text)


@pytest.mark.parametrize(("text", "code"), [("0", 0), ("137\n", 137)])
def test_exit_codes(text: str, code: int) -> None:
    assert exit_code(text) == code


def test_an_exit_file_that_is_still_empty_has_no_code() -> None:
    with pytest.raises(ValueError):
        exit_code("")


def test_a_runtime_without_keyrings_gets_no_keyring_flag() -> None:
    assert "--no-new-keyring" in PLAN.argv()
    assert "--no-new-keyring" not in replace(PLAN, keyring_flag=False).argv()
