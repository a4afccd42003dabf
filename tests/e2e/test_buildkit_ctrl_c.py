"""Ctrl-C on a terminal while a build's step runs: the step ends in the builder, nobody hangs, the next build works."""

import json
from pathlib import Path

import pytest
from e2e_rig.buildkit_fixtures import context, until_gone, until_running
from e2e_rig.docker_cli import DockerCli

pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines, pytest.mark.usefixtures("no_built_images")]
BUILD_S = 90
CTRL_C = "\x03"
_COMMANDS = {
    "build": ("build", "-t", "{name}", "{where}"),
    "plain": ("build", "--progress", "plain", "-t", "{name}", "{where}"),
    "buildx": ("buildx", "build", "--load", "-t", "{name}", "{where}"),
    "bake": ("buildx", "bake", "-f", "{where}/docker-bake.json", "--set", "*.context={where}"),
    "compose build": ("compose", "-f", "{where}/compose.yaml", "-p", "{name}", "build"),
    "compose up": ("compose", "-f", "{where}/compose.yaml", "-p", "{name}", "up", "--build"),
}


@pytest.mark.parametrize("command", _COMMANDS)
def test_ctrl_c_ends_the_step(buildx: DockerCli, tmp_path: Path, name: str, command: str) -> None:
    seconds = str(int(name[1:8], 16))
    where = project(tmp_path, name, f"sleep {seconds}")
    words = [word.format(name=name, where=where) for word in _COMMANDS[command]]
    with buildx.terminal(*words) as terminal:
        until_running(f"sleep {seconds}")
        terminal.type(CTRL_C)
        assert terminal.wait(60) != 0
    until_gone(f"sleep {seconds}")
    assert buildx("images", "-q", name).out == ""
    project(tmp_path, name, "echo done > /done")
    done = buildx.try_(*words, timeout=BUILD_S) if command != "compose up" else None
    done = done or buildx.try_(*words, "--detach", timeout=BUILD_S)
    assert done.code == 0, done.err
    assert buildx("run", "--rm", name, "cat", "/done").out == "done"
    if command == "compose up":
        buildx("compose", "-f", f"{where}/compose.yaml", "-p", name, "down", "-t", "0")


def project(path: Path, name: str, step: str) -> str:
    """A directory in which each of the commands builds an image of that name with this step."""
    where = context(path, f"FROM busybox\nRUN {step}\nCMD true\n")
    (path / "compose.yaml").write_text(json.dumps({"services": {"one": {"build": ".", "image": name}}}))
    (path / "docker-bake.json").write_text(json.dumps({"target": {"default": {"context": ".", "tags": [name]}}}))
    return where
