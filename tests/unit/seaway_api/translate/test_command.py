"""A body's own command and probe."""

from typing import Any

from seaway_api.translate.command import own_command, own_health
from seaway_contracts.containers import Command
from seaway_contracts.images import Healthcheck
from seaway_docker.go_json import read_body
from seaway_docker.model_container import ContainerCreate, HealthConfig


def command_of(**body: Any) -> Command:
    return own_command(read_body(ContainerCreate, body))


def test_what_was_not_given_is_told_from_what_is_empty() -> None:
    assert (command_of().entrypoint, command_of().cmd) == (None, None)
    emptied = command_of(Entrypoint=[], Cmd=[])
    assert (emptied.entrypoint, emptied.cmd) == ((), ())
    assert command_of(Entrypoint=[""]).entrypoint == ("",)


def test_the_shell_is_the_users() -> None:
    assert command_of(Shell=["/bin/bash", "-c"]).shell == ("/bin/bash", "-c")
    assert command_of().shell == ()


def test_the_working_directory_is_cleaned() -> None:
    assert (command_of(WorkingDir="/x/../y/").workdir, command_of().workdir) == ("/y", "")


def test_the_terminals_first_size() -> None:
    sized = command_of(HostConfig={"ConsoleSize": [20, 70]})
    assert (sized.height, sized.width) == (20, 70)
    assert command_of().height == 0


def test_a_probe() -> None:
    assert own_health(HealthConfig(interval=9)) == Healthcheck(interval_ns=9)
    assert own_health(None) is None
