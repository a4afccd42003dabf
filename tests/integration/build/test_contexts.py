"""Contexts that mean harm, unpacked on a real file system: nothing outside is written, nothing outside is read."""

import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from tests.hostile.builds import CONTEXTS, LEADING_OUT, Member, context

from seaway_agent.build.workspace import Workspace
from seaway_contracts.errors import SeawayError

pytestmark = pytest.mark.root
_MOST = 1 << 20


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    made = Workspace(tmp_path / "w" / "one", tmp_path / "mounts")
    made.make()
    yield made


def _outside(place: Path) -> list[str]:
    return sorted(str(path) for path in place.rglob("*") if "/context/" not in str(path))


@pytest.mark.parametrize("name", LEADING_OUT)
def test_known_ones(workspace: Workspace, tmp_path: Path, name: str) -> None:
    before, etc = _outside(tmp_path), sorted(os.listdir("/etc"))
    try:
        workspace.unpack(io.BytesIO(LEADING_OUT[name]).read, _MOST)
        text = workspace.dockerfile("Dockerfile")
    except SeawayError:
        text = ""
    assert "root:" not in text and sorted(os.listdir("/etc")) == etc
    assert [path for path in _outside(tmp_path) if not path.endswith("/ignore")] == before


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(CONTEXTS)
def test_any(members: list[Member]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        workspace = Workspace(place / "w" / "one", place / "mounts")
        workspace.make()
        before, etc = _outside(place), sorted(os.listdir("/etc"))
        try:
            workspace.unpack(io.BytesIO(context(*members)).read, _MOST)
        except (SeawayError, OSError):
            pass
        assert _outside(place) == before and sorted(os.listdir("/etc")) == etc


def test_a_context_is_bounded(workspace: Workspace) -> None:
    with pytest.raises(SeawayError, match="more than 1048576 bytes"):
        workspace.unpack(io.BytesIO(context(Member("big", data=bytes(_MOST + 1)))).read, _MOST)


def test_an_ignored_dockerfile_is_no_part_of_the_context(workspace: Workspace) -> None:
    made = context(Member("Dockerfile", data=b"FROM x\n"), Member(".dockerignore", data=b"Dockerfile\n.dockerignore\n"))
    workspace.unpack(io.BytesIO(made).read, _MOST)
    assert workspace.dockerfile("Dockerfile") == "FROM x\n"
    assert list(workspace.context.iterdir()) == []


def test_its_files_are_private(workspace: Workspace) -> None:
    workspace.write({"auth.json": "{}"})
    workspace.write_runtime("#!/bin/sh\n")
    for path in workspace.directory.iterdir():
        if not path.is_symlink():
            assert path.stat().st_mode & 0o077 == 0, path
