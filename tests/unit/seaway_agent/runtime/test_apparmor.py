"""What this machine's AppArmor can do, on files of our own and a parser that writes down what it hears."""

import asyncio
import logging
from pathlib import Path

import pytest

from seaway_agent.oci.apparmor import DEFAULT, UNCONFINED
from seaway_agent.runtime.apparmor import AppArmor, AppArmorPaths, find, is_loaded
from seaway_contracts.containers import Security
from seaway_contracts.errors import SeawayError

LOADS = 'cat >"$0.text" && echo "$@" >>"$0.calls" && echo "docker-default (enforce)" >>{profiles}'


class Machine:
    """A kernel's and a distribution's files."""

    def __init__(self, base: Path) -> None:
        self.paths = AppArmorPaths(base / "enabled", base / "profiles", base / "own", base / "apparmor.d")
        self.programs = base / "sbin"
        self.parser = self.programs / "apparmor_parser"
        self.programs.mkdir()
        self.paths.enabled.write_text("Y\n")
        self.paths.profiles.write_text("docker-default-too (enforce)\n")

    def with_parser(self, script: str = LOADS) -> "Machine":
        self.parser.write_text(f"#!/bin/sh\n{script.format(profiles=self.paths.profiles)}\n")
        self.parser.chmod(0o755)
        return self

    def found(self) -> AppArmor:
        return find(self.paths, str(self.programs))

    @property
    def calls(self) -> list[str]:
        written = self.parser.with_suffix(".calls")
        return written.read_text().splitlines() if written.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("word", ["N\n", None])
async def test_a_kernel_without_it(machine: Machine, word: str | None, caplog: pytest.LogCaptureFixture) -> None:
    machine.with_parser().paths.enabled.unlink()
    if word is not None:
        machine.paths.enabled.write_text(word)
    found = machine.found()
    assert (found.on, found.usable) == (False, False)
    assert found.profile_for(Security(apparmor="mine")) == ""
    await found.prepare()
    assert (machine.calls, caplog.records) == ([], [])


def test_without_a_parser(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    found = machine.found()
    assert (found.on, found.usable) == (True, False)
    assert (found.profile_for(Security()), found.profile_for(Security(apparmor="mine"))) == ("", "mine")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "apparmor_parser is missing: install the package apparmor" in caplog.text


def test_without_the_kernels_list(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    machine.with_parser().paths.profiles.unlink()
    assert not machine.found().usable
    assert "mount securityfs" in caplog.text


async def test_is_loaded_once_where_it_is_missing(machine: Machine) -> None:
    found = machine.with_parser().found()
    await asyncio.gather(found.prepare(), found.ensure_loaded(DEFAULT), found.ensure_loaded(DEFAULT))
    await found.ensure_loaded(DEFAULT)
    assert len(machine.calls) == 1
    assert f"profile {DEFAULT} " in (machine.programs / "apparmor_parser.text").read_text()
    machine.paths.profiles.write_text("")
    await found.ensure_loaded(DEFAULT)
    assert len(machine.calls) == 2


async def test_one_that_is_there_is_left_as_it_is(machine: Machine) -> None:
    machine.with_parser().paths.profiles.write_text("docker-default (complain)\n")
    await machine.found().ensure_loaded(DEFAULT)
    assert machine.calls == []


@pytest.mark.parametrize("profile", ["", UNCONFINED, "mine"])
async def test_others_are_the_users_business(machine: Machine, profile: str) -> None:
    await machine.with_parser().found().ensure_loaded(profile)
    assert machine.calls == []


async def test_a_parser_that_fails(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    found = machine.with_parser("echo no such rule >&2; exit 1").found()
    with pytest.raises(SeawayError, match="its profile docker-default can't be loaded: no such rule"):
        await found.ensure_loaded(DEFAULT)
    await found.prepare()
    assert "no container can start that needs it" in caplog.text
    machine.with_parser("exit 3")
    with pytest.raises(SeawayError, match="ended with code 3"):
        await found.ensure_loaded(DEFAULT)
    machine.parser.unlink()
    with pytest.raises(SeawayError, match="can't be loaded"):
        await found.ensure_loaded(DEFAULT)


async def test_a_list_that_can_not_be_read_any_more(machine: Machine) -> None:
    found = machine.with_parser().found()
    machine.paths.profiles.unlink()
    with pytest.raises(SeawayError, match="list of profiles can't be read"):
        await found.ensure_loaded(DEFAULT)


def test_is_loaded(machine: Machine) -> None:
    assert not is_loaded(machine.paths)
    machine.paths.profiles.write_text("docker-default (enforce)\n")
    assert is_loaded(machine.paths)
    machine.paths.profiles.unlink()
    assert not is_loaded(machine.paths)
