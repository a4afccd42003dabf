"""Ids of execs, and what events show of a command."""

from seaway_contracts.execs import ExecSpec, container_prefix, exec_id, is_exec_id
from seaway_testing import builders


def test_the_id_leads_to_the_container() -> None:
    container = builders.container_id(1)
    identifier = exec_id(container, "f" * 32)
    assert is_exec_id(identifier)
    assert container_prefix(identifier) == container_prefix(container) == container[:32]


def test_what_is_no_id() -> None:
    assert not is_exec_id("f" * 63)
    assert not is_exec_id("F" * 64)


def test_the_command_keeps_dockers_blank_behind_a_lonely_program() -> None:
    assert ExecSpec(id="e", args=("sh", "-c", "ls; pwd")).command == "sh -c ls; pwd"
    assert ExecSpec(id="e", args=("true",)).command == "true "
