"""`seaway logs`: what a service of the suite has logged, and what it logs from now on."""

import json
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from seaway_cli.errors import CliError

_LOOK_S: Final = 0.2
_LINE: Final = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT[\d:.]+Z) (?P<level>[A-Z]+) +(?P<service>[\w.-]+): (?P<message>.*)"
)


def log_of(directory: Path, service: str) -> Path:
    """The log of a service. Raises CliError that names those that are there."""
    known = sorted(path.stem for path in directory.glob("*.log")) if directory.is_dir() else []
    if not known:
        raise CliError(
            f"{directory} has no logs: no suite of `seaway up` runs there (--run names another's directory). "
            f"A service of systemd logs to the journal: journalctl -u seaway-{service}"
        )
    if service not in known:
        raise CliError(f"no service {service} has a log in {directory}; there are {', '.join(known)}")
    return directory / f"{service}.log"


class LogReader:
    """Reads a log that its suite cuts off when it has grown: what was in it is in `….log.1` then."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._aside = path.with_name(path.name + ".1")
        self._place = 0
        self._rest = b""

    def last(self, lines: int) -> Iterator[str]:
        """The last lines, all if the number is negative. `new` continues behind them."""
        text = self._path.read_bytes()
        self._place = len(text)
        *whole, self._rest = text.split(b"\n")
        if lines < 0 or len(whole) < lines:
            whole = [*self._set_aside(), *whole]
        kept = deque(whole, maxlen=None if lines < 0 else lines)
        return (line.decode(errors="replace") for line in kept)

    def _set_aside(self) -> list[bytes]:
        try:
            return self._aside.read_bytes().splitlines()
        except FileNotFoundError:
            return []

    def new(self) -> Iterator[str]:
        """What was written since the last call, in whole lines."""
        data = b""
        if self._path.stat().st_size < self._place:
            data = self._read(self._aside)
            self._place = 0
        data += self._read(self._path)
        *whole, self._rest = (self._rest + data).split(b"\n")
        return (line.decode(errors="replace") for line in whole)

    def _read(self, path: Path) -> bytes:
        """The rest of a file. It moves the place."""
        try:
            with path.open("rb") as file:
                file.seek(self._place)
                data = file.read()
        except FileNotFoundError:
            return b""
        self._place += len(data)
        return data


def document(service: str, line: str) -> dict[str, Any]:
    """A line as JSON: its parts, as far as it has the form of the services' logs."""
    if line.startswith("{"):
        try:
            found = json.loads(line)
            if isinstance(found, dict):
                return {"service": service} | found
        except ValueError:
            pass
    parts = _LINE.fullmatch(line)
    if parts is None:
        return {"service": service, "message": line}
    return {
        "time": parts["time"],
        "level": parts["level"].lower().replace("warn", "warning").replace("fatal", "critical"),
        "service": parts["service"],
        "message": parts["message"],
    }


def show(
    directory: Path, service: str, lines: int, write: Callable[[str], None], *, follow: bool, as_json: bool
) -> None:
    """Write the last lines, then each new one if asked to follow. Raises CliError."""
    reader = LogReader(log_of(directory, service))

    def put(found: Iterator[str]) -> None:
        for line in found:
            write(json.dumps(document(service, line)) if as_json else line)

    put(reader.last(lines))
    while follow:
        time.sleep(_LOOK_S)
        put(reader.new())
