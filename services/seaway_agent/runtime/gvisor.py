"""gVisor's differences: the container's processes and files belong to its sandbox, not to the host."""

import contextlib
import subprocess
from pathlib import Path
from typing import Any, Final

import orjson

from seaway_agent.runtime.runtimes import RUNSC, global_flags
from seaway_contracts.commands import ProcessList
from seaway_contracts.errors import bad_request, internal

_PS_S: Final = 10.0
_PLAIN: Final = ("", "-ef")


def gofer(state: Path, container: str) -> int:
    """The gofer's pid, whose root directory is the container's. Raises ProcessLookupError."""
    for path in state.glob("*.state"):
        with contextlib.suppress(OSError, ValueError):
            found: dict[str, Any] = orjson.loads(path.read_bytes())
            pid = int(found.get("goferPid") or 0)
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if words[0].startswith(b"runsc-gofer") and any(word.endswith(container.encode()) for word in words):
                return pid
    raise ProcessLookupError


def list_processes(program: str, state: Path, container: str, ps_args: str) -> ProcessList:
    """The sandbox's processes, with its own pids. Blocks. Raises SeawayError."""
    if ps_args.strip() not in _PLAIN:
        raise bad_request(f"container {container[:12]} runs in runsc, which takes no options of ps")
    words = [program, "--root", str(state), *global_flags(RUNSC), "ps", container]
    try:
        done = subprocess.run(words, capture_output=True, timeout=_PS_S, stdin=subprocess.DEVNULL, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise internal(f"runsc can't be asked for the processes of container {container[:12]}: {error}") from error
    if done.returncode:
        complaint = done.stderr.decode(errors="replace").strip()
        raise internal(f"runsc can't list the processes of container {container[:12]}: {complaint}")
    return parse(done.stdout.decode(errors="replace"))


def parse(output: str) -> ProcessList:
    """The process list in a table whose last column may contain spaces."""
    titles, *rows = [line.split() for line in output.splitlines() if line.strip()] or [[]]
    last = len(titles) - 1
    return ProcessList(
        titles=tuple(titles), processes=tuple((*row[:last], " ".join(row[last:])) for row in rows if len(row) > last)
    )
