"""conmon's command line for an exec."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from seaway_agent.execs.plan import ExecShim, is_of_link, process_of
from seaway_agent.oci import capabilities
from seaway_agent.oci.spec import User
from seaway_contracts.containers import Command, Link
from seaway_contracts.execs import ExecSpec
from seaway_testing import builders

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
CONFIG: dict[str, Any] = {
    "process": {
        "terminal": True,
        "args": ["sleep", "1"],
        "env": ["PATH=/bin", "HOSTNAME=box", "TERM=xterm", "A=1", "HOME=/root"],
        "cwd": "/",
        "user": {"uid": 0, "gid": 0, "additionalGids": [0]},
        "capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]},
        "noNewPrivileges": True,
        "oomScoreAdj": 7,
        "apparmorProfile": "strict",
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}],
    },
    "linux": {"seccomp": {}},
}


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


def test_what_holds_the_program_stands_before_the_runtime() -> None:
    argv = replace(SHIM, before_runtime=("/usr/bin/python3", "hold.py", "20")).argv()
    assert following(argv, "-r") == "/usr/bin/python3"
    assert [arg.partition("=")[2] for arg in argv if arg.startswith("--runtime-arg=")] == [
        "hold.py", "20", "/usr/bin/crun", "--root", "/run/crun", "--debug",
    ]  # fmt: skip


def test_with_a_terminal_the_runtime_has_a_log() -> None:
    argv = replace(SHIM, terminal=True).argv()
    assert "-t" in argv and "--runtime-arg=/run/x/e/runtime.log" in argv


def test_the_runtime_by_itself_leaves_the_process_to_its_caller() -> None:
    argv = SHIM.runtime_argv()
    assert argv[:5] == ["/usr/bin/crun", "--root", "/run/crun", "--debug", "exec"]
    assert following(argv, "--process") == "/run/x/e/process.json"
    assert following(argv, "--pid-file") == "/run/x/e/pidfile"
    assert argv[-2:] == ["--detach", "c" * 64]


def made(user: User | None = None, container: Command | None = None, **asked: Any) -> dict[str, Any]:
    spec = builders.spec(1, command=container or Command(cmd=("sleep", "1"), env=("PATH=/bin", "A=1"), tty=True))
    exec_spec = ExecSpec(id="e", args=("id", "-u"), **asked)
    return process_of(CONFIG["process"], spec, exec_spec, user or User(home="/root"), capabilities.DEFAULT)


def test_what_is_not_asked_for_is_the_containers() -> None:
    process = made()
    for key in ("noNewPrivileges", "oomScoreAdj", "rlimits", "capabilities", "apparmorProfile"):
        assert process[key] == CONFIG["process"][key]
    assert (process["args"], process["terminal"], process["cwd"]) == (["id", "-u"], False, "/")


def test_the_containers_own_process_is_left_as_it_is() -> None:
    made(tty=True, privileged=True)
    assert CONFIG["process"]["args"] == ["sleep", "1"] and "apparmorProfile" in CONFIG["process"]


def test_environment_is_the_containers_then_its_own() -> None:
    process = made(env=("A=2", "B=3", "PATH"))
    assert process["env"] == ["HOSTNAME=box", "A=2", "B=3", "HOME=/root"]
    assert "TERM=xterm" in made(tty=True)["env"]


def test_home_is_the_users() -> None:
    assert "HOME=/home/app" in made(User(5, 6, (7,), "/home/app"))["env"]


def test_user_and_groups() -> None:
    assert made(User(5, 6, (7, 6), "/"))["user"] == {"uid": 5, "gid": 6, "additionalGids": [6, 7]}


def test_working_directory() -> None:
    at_home = Command(cmd=("sh",), workdir="/home")
    assert made(container=at_home)["cwd"] == "/home"
    assert made(container=at_home, workdir="/tmp")["cwd"] == "/tmp"


def test_size_of_a_terminal() -> None:
    assert made(tty=True, height=3, width=4)["consoleSize"] == {"height": 3, "width": 4}
    assert "consoleSize" not in made(height=3, width=4)
    assert "consoleSize" not in made(tty=True)


def test_privileged_has_what_the_node_can_grant_and_the_containers_profile() -> None:
    process = made(privileged=True)
    assert set(process["capabilities"]["effective"]) == set(capabilities.DEFAULT)
    assert process["apparmorProfile"] == "strict"


def test_variables_of_links() -> None:
    links = (Link(container="c", name="first", alias="my-db"),)
    given = ("MY_DB_NAME=/me/my-db", "MY_DB_PORT=tcp://1.2.3.4:5", "MY_D=1", "PATH=/bin", "MY_DBX=1")
    assert [item for item in given if is_of_link(item, links)] == list(given[:2])
