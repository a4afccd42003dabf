"""Runtimes' words become Docker's, and the exit code that a client reads out of them."""

import pytest

from seaway_agent.runtime.failures import exec_failure, exit_code_for, last_error, refused_launch, runtime_failure
from seaway_contracts.errors import Code, Reason, internal

HEAD = "failed to create task for container: failed to create shim task: OCI runtime create failed: "
RUNC = "runc create failed: unable to start container process: "
STAMP = 'time="2026-01-02T03:04:05Z" level='


@pytest.mark.parametrize(
    ("said", "words", "code"),
    [
        (
            'executable file `["a"\\b` not found in $PATH: No such file or directory',
            r'exec: "[\"a\"\\b": executable file not found in $PATH',
            127,
        ),
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
        ("cannot open `/etc/x/y`: Not a directory", 'exec: "/etc/x/y": stat /etc/x/y: not a directory', 128),
        ("open `/x`: Permission denied", "open `/x`: permission denied", 126),
        # crun 1.8
        (
            "executable file `/a/b` not found in $PATH: No such file or directory",
            'exec: "/a/b": stat /a/b: no such file or directory',
            127,
        ),
        ("open executable: Operation not permitted", "open executable: not a regular file: permission denied", 126),
        ("open executable: Permission denied", "open executable: permission denied", 126),
        ("", "the runtime gave no reason", 128),
    ],
)
def test_what_crun_says(said: str, words: str, code: int) -> None:
    error = runtime_failure(said)
    assert error.message == f"{HEAD}{words}: unknown"
    assert exit_code_for(error) == code


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
        (r"two\nlines", "two\nlines", 128),
    ],
)
def test_what_runc_says_in_its_log_lines(text: str, words: str, code: int) -> None:
    warned = f'{STAMP}warning msg="unable to get oom kill count" error="openat2 failed"\n'
    error = runtime_failure(f'{warned}{STAMP}error msg="{RUNC}{text}"\n')
    assert error.message == f"{HEAD}{RUNC}{words}: unknown"
    assert exit_code_for(error) == code


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ('exec: "nosuch": executable file not found in $PATH: unknown', 127),
        ("exec /x: no such file or directory", 127),
        ("OCI runtime error: crun: open executable: Permission denied", 126),
        ("exec: /bin: is a directory", 126),
        ("port is already allocated", 128),
    ],
)
def test_exit_code_from_what_a_runtime_says(said: str, code: int) -> None:
    assert exit_code_for(runtime_failure(said)) == code


@pytest.mark.parametrize(
    ("reason", "code"), [(Reason.NO_SUCH_FILE, 127), (Reason.NO_ACCESS, 126), (Reason.PAUSED, 128), (None, 128)]
)
def test_exit_code_from_the_reason_alone(reason: Reason | None, code: int) -> None:
    assert exit_code_for(internal("no such file or directory: permission denied", reason)) == code


def test_what_is_refused_before_the_runtime_is_asked() -> None:
    error = refused_launch("/proc/no such file or directory is taken")
    assert error.message == f"{HEAD}/proc/no such file or directory is taken: unknown"
    assert (error.code, exit_code_for(error)) == (Code.INTERNAL, 128)


_WRITE = "apparmor failed to apply profile: write /proc/self/attr/apparmor/exec: no such file or directory"


@pytest.mark.parametrize(
    "said",
    [
        "write file `/proc/thread-self/attr/apparmor/exec`: No such file or directory",
        f"unable to apply apparmor profile: {_WRITE}",
    ],
)
def test_an_unknown_profile_is_named(said: str) -> None:
    words = f"{HEAD}unable to apply apparmor profile: mine (is it loaded?): {_WRITE}: unknown"
    assert runtime_failure(said, "mine").message == words
    assert "mine" not in runtime_failure("open `/x`: Permission denied", "mine").message


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


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "the sysctl `net.a` requires a new network namespace",
            'sysctl "net.a" not allowed in host network namespace',
        ),
        (
            "the sysctl `kernel.a` requires a new IPC namespace",
            'sysctl "kernel.a" is not allowed in the hosts ipc namespace',
        ),
        ("the sysctl `vm.a` is not namespaced", 'sysctl "vm.a" is not in a separate kernel namespace'),
        (
            "the sysctl `kernel.a` requires a new UTS namespace",
            'sysctl "kernel.a" is not in a separate kernel namespace',
        ),
        (
            "the sysctl `kernel.hostname` conflicts with OCI field `hostname`",
            'sysctl "kernel.hostname" is not allowed as it conflicts with the OCI "hostname" field',
        ),
        ("write to `/proc/sys/net/a`: Invalid argument", "write /proc/sys/net/a: invalid argument"),
        (
            'starting container: starting root container: error finding executable "x" in PATH [/bin]: '
            "no such file or directory",
            'exec: "x": executable file not found in $PATH',
        ),
        (
            "starting container: creating process: failed to load /x: no such file or directory",
            'exec: "/x": stat /x: no such file or directory',
        ),
        ("starting container: creating process: failed to load /x: permission denied", 'exec: "/x": permission denied'),
    ],
)
def test_sysctls_and_gvisor_in_runcs_words(said: str, words: str) -> None:
    assert runtime_failure(said).message.endswith(f": {words}: unknown")


@pytest.mark.parametrize(
    ("said", "words", "code"),
    [
        ("chdir to `/nowhere`: No such file or directory",
         'chdir to cwd ("/nowhere") set in config.json failed: no such file or directory', Code.BAD_REQUEST),
        ("chdir to `nowhere`: No such file or directory", "Cwd must be an absolute path", Code.INTERNAL),
        ("cannot find `` in $PATH: No such file or directory",
         'exec: "": executable file not found in $PATH', Code.BAD_REQUEST),
        ("executable file `x` not found in $PATH: No such file or directory",
         'exec: "x": executable file not found in $PATH', Code.BAD_REQUEST),
        ("", "the runtime gave no reason", Code.INTERNAL),
    ],
)  # fmt: skip
def test_what_it_says_of_an_exec(said: str, words: str, code: Code) -> None:
    error = exec_failure(said)
    assert error.message == f"OCI runtime exec failed: exec failed: unable to start container process: {words}: unknown"
    assert error.code is code


def test_the_last_error_of_a_log() -> None:
    log = b'{"level":"error","msg":"one"}\nnonsense\n[]\n{"level":"error","msg":"last"}\n{"level":"info","msg":"x"}'
    assert last_error(log) == "last"
    assert last_error(b"") == ""
