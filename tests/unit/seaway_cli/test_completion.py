"""Completion: each shell's script is printed, and what the shells ask by it is answered."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from seaway_cli.completion import Shell, script

SEAWAY = Path(sys.executable).parent / "seaway"
PATH = f"{SEAWAY.parent}:{os.environ['PATH']}"


def asked(**variables: str) -> list[str]:
    environment = os.environ | {"PATH": PATH} | variables
    done = subprocess.run([SEAWAY], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.parametrize("shell", list(Shell))
def test_scripts(shell: Shell) -> None:
    done = subprocess.run([SEAWAY, "completion", shell.value], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, script(shell) + "\n", "")
    assert f"_SEAWAY_COMPLETE=complete_{shell.value}" in done.stdout
    assert f"seaway completion {shell.value} >" in done.stdout
    if shell is Shell.ZSH:
        assert done.stdout.startswith("#compdef seaway\n")


def test_bash_completes_commands_options_and_services() -> None:
    """With the script in a real bash."""
    words = {
        "seaway ev": (1, "events"),
        "seaway node dr": (2, "drain"),
        "seaway events --with": (2, "--with-state"),
        "seaway logs sched": (2, "scheduler"),
    }
    for line, (place, found) in words.items():
        text = (
            f'eval "$(seaway completion bash)"; COMP_WORDS=({line}); COMP_CWORD={place}; '
            'complete -p seaway >/dev/null && _seaway_completion seaway && printf "%s\\n" "${COMPREPLY[@]}"'
        )
        done = subprocess.run(
            ["bash", "-c", text], env=os.environ | {"PATH": PATH}, capture_output=True, text=True, timeout=60
        )
        assert (done.stdout.split(), done.stderr) == ([found], "")


def test_zsh_and_fish_are_answered() -> None:
    answer = asked(_SEAWAY_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS="seaway node dr")
    assert any("drain" in word for word in answer)
    answer = asked(
        _SEAWAY_COMPLETE="complete_fish", _TYPER_COMPLETE_ARGS="seaway ev", _TYPER_COMPLETE_FISH_ACTION="get-args"
    )
    assert answer[0] == "events"


def test_a_shell_that_is_not_known() -> None:
    done = subprocess.run([SEAWAY, "completion", "csh"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "'bash', 'zsh', 'fish'" in done.stderr
