"""The OCI process of an exec over its container's."""

from typing import Any

from seaway_agent.execs.process import process_of
from seaway_agent.oci import capabilities
from seaway_agent.oci.spec import User
from seaway_contracts.containers import Command
from seaway_contracts.execs import ExecSpec
from seaway_testing import builders

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
