"""Execs between Docker's JSON and the contracts."""

import pytest

from seaway_api.translate.execs import console_size, exec_json, exec_spec
from seaway_contracts.execs import ExecInfo, ExecSpec, ExecState, ExecStatus
from seaway_docker.errors import InvalidParameter
from seaway_docker.go_json import decode_body
from seaway_docker.model_container import ExecCreate


def test_what_is_asked_for() -> None:
    body = (
        b'{"Cmd":["sh","-c","ls"],"Env":["A=1"],"User":"u","WorkingDir":"/w","Tty":true,"Privileged":true,'
        b'"AttachStdin":true,"DetachKeys":"ctrl-a","ConsoleSize":[3,4]}'
    )
    assert exec_spec("e", decode_body(ExecCreate, body)) == ExecSpec(
        id="e", args=("sh", "-c", "ls"), env=("A=1",), user="u", workdir="/w", tty=True, privileged=True,
        attach_stdin=True, detach_keys="ctrl-a", height=3, width=4,
    )  # fmt: skip


@pytest.mark.parametrize("body", [b"{}", b'{"Cmd":[]}', b'{"Cmd":null}'])
def test_no_command(body: bytes) -> None:
    with pytest.raises(InvalidParameter, match="No exec command specified"):
        exec_spec("e", decode_body(ExecCreate, body))


def test_sizes() -> None:
    assert [console_size(given) for given in ([3, 4], [3], [], None)] == [(3, 4), (0, 0), (0, 0), (0, 0)]


def test_inspect_in_dockers_order() -> None:
    spec = ExecSpec(id="e", args=("sh", "-c"), attach_stdout=True)
    shown = exec_json(ExecInfo(container="c", spec=spec, status=ExecStatus(state=ExecState.RUNNING, pid=5)))
    assert list(shown) == [
        "ID", "Running", "ExitCode", "ProcessConfig", "OpenStdin", "OpenStderr", "OpenStdout", "CanRemove",
        "ContainerID", "DetachKeys", "Pid",
    ]  # fmt: skip
    assert (shown["Running"], shown["ExitCode"], shown["Pid"]) == (True, None, 5)
    assert shown["ProcessConfig"] == {"tty": False, "entrypoint": "sh", "arguments": ["-c"], "privileged": False}
    named = exec_json(ExecInfo(container="c", spec=spec.model_copy(update={"user": "u"})))
    assert named["ProcessConfig"]["user"] == "u"
