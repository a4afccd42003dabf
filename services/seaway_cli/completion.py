"""`seaway completion`: scripts by which shells complete the command line; they ask `seaway` itself, by typer."""

import os
from enum import StrEnum
from typing import Annotated

import typer

_VARIABLE = "_SEAWAY_COMPLETE"
_HOW = """\
# bash:  seaway completion bash >/etc/bash_completion.d/seaway
# zsh:   seaway completion zsh >"${fpath[1]}/_seaway"    (compinit must be loaded)
# fish:  seaway completion fish >/etc/fish/completions/seaway.fish"""


class Shell(StrEnum):
    """The shells whose scripts typer knows."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, typer.Argument(help="whose script to print")]) -> None:
    """Print the script by which a shell completes `seaway`."""
    print(script(shell))


def script(shell: Shell) -> str:
    """The script, and how to install it. zsh looks at the first line alone to see what a file is for."""
    from typer._completion_shared import get_completion_script

    text = get_completion_script(prog_name="seaway", complete_var=_VARIABLE, shell=shell.value)
    first, _, rest = text.partition("\n")
    return f"{first}\n{_HOW}\n{rest}".rstrip() if shell is Shell.ZSH else f"{_HOW}\n{text}"


def prepare() -> None:
    """Register the shells with typer, if it is a shell that asks now. Otherwise that would only cost time."""
    if _VARIABLE in os.environ:
        from typer.completion import get_completion_inspect_parameters

        get_completion_inspect_parameters()
