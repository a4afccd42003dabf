"""conmon's command line for an exec."""

from dataclasses import replace
from pathlib import Path

from seaway_agent.execs.plan import ExecShim

SHIM = ExecShim(
    exec_id="e" * 64,
    container="c" * 64,
    conmon="/usr/bin/conmon",
    runtime="/usr/bin/crun",
    runtime_root=Path("/run/crun"),
    bundle=Path("/run/x/e"),
    stdin=False,
    terminal=False,
    attached=False,
    runtime_args=("--debug",),
)


def following(argv: list[str], flag: str) -> str:
    return argv[argv.index(flag) + 1]


def test_plain() -> None:
    argv = SHIM.argv()
    assert argv[0] == "/usr/bin/conmon"
    assert (following(argv, "-c"), following(argv, "-u")) == ("c" * 64, "e" * 64)
    assert following(argv, "--exec-process-spec") == "/run/x/e/process.json"
    assert [arg for arg in argv if arg.startswith("--runtime-arg=")] == [
        "--runtime-arg=--root", "--runtime-arg=/run/crun", "--runtime-arg=--debug",
    ]  # fmt: skip
    assert not {"-i", "-t", "--exec-attach"} & set(argv)
    assert set(SHIM.env()) == {"_OCI_SYNCPIPE", "PATH", "TMPDIR", "TZ"}


def test_attached_waits_for_its_client() -> None:
    shim = replace(SHIM, attached=True, stdin=True)
    assert {"-i", "--exec-attach"} <= set(shim.argv())
    assert {"_OCI_STARTPIPE", "_OCI_ATTACHPIPE"} <= set(shim.env())


def test_with_a_terminal_the_runtime_has_a_log() -> None:
    argv = replace(SHIM, terminal=True).argv()
    assert "-t" in argv and "--runtime-arg=/run/x/e/runtime.log" in argv


def test_the_runtime_by_itself_leaves_the_process_to_its_caller() -> None:
    argv = SHIM.runtime_argv()
    assert argv[:5] == ["/usr/bin/crun", "--root", "/run/crun", "--debug", "exec"]
    assert following(argv, "--process") == "/run/x/e/process.json"
    assert following(argv, "--pid-file") == "/run/x/e/pidfile"
    assert argv[-2:] == ["--detach", "c" * 64]
