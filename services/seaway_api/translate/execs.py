"""Execs between Docker's JSON and the contracts. Pure."""

from typing import Any

from seaway_contracts.execs import ExecInfo, ExecSpec, ExecState
from seaway_docker.errors import NO_EXEC_COMMAND, InvalidParameter
from seaway_docker.model_container import ExecCreate


def exec_spec(identifier: str, asked: ExecCreate) -> ExecSpec:
    """What is asked for. Raises InvalidParameter where there is no command."""
    if not asked.cmd:
        raise InvalidParameter(NO_EXEC_COMMAND)
    height, width = console_size(asked.console_size)
    return ExecSpec(
        id=identifier,
        args=tuple(asked.cmd),
        env=tuple(asked.env or ()),
        user=asked.user,
        workdir=asked.working_dir,
        tty=asked.tty,
        privileged=asked.privileged,
        attach_stdin=asked.attach_stdin,
        attach_stdout=asked.attach_stdout,
        attach_stderr=asked.attach_stderr,
        detach_keys=asked.detach_keys,
        height=height,
        width=width,
    )


def console_size(given: list[int] | None) -> tuple[int, int]:
    """Height and width; zeros where not both are given."""
    return (given[0], given[1]) if given is not None and len(given) == 2 else (0, 0)


def exec_json(info: ExecInfo) -> dict[str, Any]:
    """`GET /exec/{id}/json` (Docker API 1.51), in the order of Docker's own encoder."""
    spec, status = info.spec, info.status
    process: dict[str, Any] = {
        "tty": spec.tty,
        "entrypoint": spec.args[0],
        "arguments": list(spec.args[1:]),
        "privileged": spec.privileged,
    }
    if spec.user:
        process["user"] = spec.user
    return {
        "ID": spec.id,
        "Running": status.state is ExecState.RUNNING,
        "ExitCode": status.exit_code,
        "ProcessConfig": process,
        "OpenStdin": spec.attach_stdin,
        "OpenStderr": spec.attach_stderr,
        "OpenStdout": spec.attach_stdout,
        "CanRemove": False,
        "ContainerID": info.container,
        "DetachKeys": spec.detach_keys,
        "Pid": status.pid,
    }
