"""The processes of a container, as the host's `ps` shows them (moby 26.1 `daemon/top_unix.go`)."""

import re
import subprocess
from collections.abc import Collection
from typing import Final

from seaway_contracts.commands import ProcessList
from seaway_contracts.errors import internal

_PID: Final = "PID"
_PS_S: Final = 10.0
_RENAMED: Final = re.compile(r"\s+([^\s]*)=\s*(PID[^\s]*)")


def check_ps_args(ps_args: str) -> None:
    """Raise SeawayError where another column gets the title PID, by which the rows are chosen."""
    for column, title in _RENAMED.findall(ps_args):
        if column != "pid":
            raise internal(f'specifying "{column}={title}" is not allowed')


def parse_ps(output: str, pids: Collection[int]) -> ProcessList:
    """The rows of these processes; those of threads (a `-` for the pid) follow their process. Raises SeawayError."""
    lines = [line.split() for line in output.splitlines() if line.strip()]
    titles = lines[0] if lines else []
    if _PID not in titles:
        raise internal("Couldn't find PID field in ps output")
    column, last = titles.index(_PID), len(titles) - 1
    rows, ours = [], False
    for fields in lines[1:]:
        if len(fields) <= column:
            continue
        if fields[column] != "-":
            if not fields[column].isdecimal():
                raise internal(f"Unexpected pid '{fields[column]}' in ps output")
            ours = int(fields[column]) in pids
        if ours:
            rows.append((*fields[:last], " ".join(fields[last:])))
    return ProcessList(titles=tuple(titles), processes=tuple(rows))


def list_processes(ps_args: str, pids: Collection[int]) -> ProcessList:
    """Run ps. Blocks. Raises SeawayError with the first line of ps's error output."""
    check_ps_args(ps_args)
    words = ps_args.split()
    try:
        return parse_ps(_ps([*words, f"-q{','.join(map(str, sorted(pids)))}"]), pids)
    except _PsFailed:  # some options (such as f) don't go with -q
        pass
    try:
        return parse_ps(_ps(words), pids)
    except _PsFailed as error:
        raise internal(str(error)) from error


class _PsFailed(Exception):
    """ps has ended with an error."""


def _ps(words: list[str]) -> str:
    try:
        done = subprocess.run(["ps", *words], capture_output=True, timeout=_PS_S, stdin=subprocess.DEVNULL, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise internal(f"ps can't be run on the node: {error}; is the package procps installed?") from error
    if done.returncode != 0:
        complaint = done.stderr.decode(errors="replace").strip().splitlines()
        raise _PsFailed(f"ps: {complaint[0] if complaint else f'exit status {done.returncode}'}")
    return done.stdout.decode(errors="replace")
