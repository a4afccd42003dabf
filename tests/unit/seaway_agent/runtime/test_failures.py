"""Runtimes' words become Docker's, and the exit code that a client reads out of them."""

import pytest

from seaway_agent.runtime.failures import runtime_failure
from seaway_contracts.errors import Code
from seaway_docker.errors import exit_code_for

HEAD = "failed to create task for container: failed to create shim task: OCI runtime create failed: "
RUNC = "runc create failed: unable to start container process: "
STAMP = 'time="2026-01-02T03:04:05Z" level='


@pytest.mark.parametrize(
    ("said", "words", "code"),
    [
        (
            "executable file `nope` not found in $PATH: No such file or directory",
            'exec: "nope": executable file not found in $PATH',
            127,
        ),
        (
            "executable file `/a/b` not found: No such file or directory",
            'exec: "/a/b": stat /a/b: no such file or directory',
            127,
        ),
        (
            "the path `/etc/x` exists but it is not executable: Operation not permitted",
            'exec: "/etc/x": permission denied',
            126,
        ),
        (
            "the path `/etc` is not a regular file: Operation not permitted",
            'exec: "/etc": not a regular file: permission denied',
            126,
        ),
        ("cannot open `/etc/x/y`: Not a directory", 'exec: "/etc/x/y": stat /etc/x/y: not a directory', 125),
        ("open `/x`: Permission denied", "open `/x`: permission denied", 126),
        ("", "the runtime gave no reason", 125),
    ],
)
def test_what_crun_says(said: str, words: str, code: int) -> None:
    error = runtime_failure(said)
    assert error.message == f"{HEAD}{words}: unknown"
    assert exit_code_for(error.message) == code


@pytest.mark.parametrize(
    ("text", "words", "code"),
    [
        (
            r"exec: \"nope\": executable file not found in $PATH",
            'exec: "nope": executable file not found in $PATH',
            127,
        ),
        (r"exec: \"/x\": permission denied", 'exec: "/x": permission denied', 126),
        (r"exec: \"/etc\": is a directory", 'exec: "/etc": is a directory', 126),
        (r"exec: \"a\\b\": no such file or directory", 'exec: "a\\b": no such file or directory', 127),
        (r"two\nlines", "two\nlines", 125),
    ],
)
def test_what_runc_says_in_its_log_lines(text: str, words: str, code: int) -> None:
    warned = f'{STAMP}warning msg="unable to get oom kill count" error="openat2 failed"\n'
    error = runtime_failure(f'{warned}{STAMP}error msg="{RUNC}{text}"\n')
    assert error.message == f"{HEAD}{RUNC}{words}: unknown"
    assert exit_code_for(error.message) == code


@pytest.mark.parametrize("level", ["error", "fatal"])
def test_a_word_without_quotes(level: str) -> None:
    assert runtime_failure(f"{STAMP}{level} msg=EOF").message == f"{HEAD}EOF: unknown"


def test_warnings_alone_are_kept_as_they_are() -> None:
    said = f'{STAMP}warning msg="odd"'
    assert runtime_failure(said).message == f"{HEAD}{said}: unknown"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("executable file `x` not found in $PATH: No such file", Code.BAD_REQUEST),
        ("open `/x`: Permission denied", Code.BAD_REQUEST),
        ("cannot set limits: Device or resource busy", Code.INTERNAL),
    ],
)
def test_who_must_change_something(said: str, code: Code) -> None:
    assert runtime_failure(said).code is code
