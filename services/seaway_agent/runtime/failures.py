"""Translate runtimes' errors into Docker's texts, and read out of them what went wrong. Pure.

Clients derive the exit codes 125, 126 and 127 from the text, letter by letter (docker/cli, run.go), and expect runc's.
"""

import contextlib
import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from seaway_contracts.errors import Code, Reason, SeawayError

_HEAD: Final = "failed to create task for container: failed to create shim task: OCI runtime create failed"
_EXEC_HEAD: Final = "OCI runtime exec failed: "
_EXEC_FAILED: Final = "exec failed: unable to start container process: "
_NO_PROFILE: Final = "unable to apply apparmor profile: "
_NO_REASON: Final = "the runtime gave no reason"
_LOG_LINE: Final = re.compile(r'^time="[^"]*" level=(?P<level>\w+) msg=(?P<text>"(?:[^"\\]|\\.)*"|\S+)', re.MULTILINE)
_CRUN: Final = (
    (r"executable file `(/.*)` not found in \$PATH.*", r'exec: "\1": stat \1: no such file or directory'),
    (r"executable file `(.*)` not found in \$PATH.*", r'exec: "\1": executable file not found in $PATH'),
    (r"cannot find `(.*)` in \$PATH.*", r'exec: "\1": executable file not found in $PATH'),
    (r"executable file `(.*)` not found: .*", r'exec: "\1": stat \1: no such file or directory'),
    (r"the path `(.*)` exists but it is not executable.*", r'exec: "\1": permission denied'),
    (r"the path `(.*)` is not a regular file.*", r'exec: "\1": not a regular file: permission denied'),
    (r"open executable: Operation not permitted", "open executable: not a regular file: permission denied"),
    (r"cannot open `(.*)`: Not a directory", r'exec: "\1": stat \1: not a directory'),
    (r"the sysctl `(.*)` requires a new network namespace", r'sysctl "\1" not allowed in host network namespace'),
    (r"the sysctl `(.*)` requires a new IPC namespace", r'sysctl "\1" is not allowed in the hosts ipc namespace'),
    (
        r"the sysctl `(.*)` (?:is not namespaced|requires a new UTS namespace)",
        r'sysctl "\1" is not in a separate kernel namespace',
    ),
    (
        r"the sysctl `(.*)` conflicts with OCI field `(.*)`",
        r'sysctl "\1" is not allowed as it conflicts with the OCI "\2" field',
    ),
    (r"write to `(/proc/sys/.*)`: Invalid argument", r"write \1: invalid argument"),
    (
        r"write file `/proc/(?:thread-)?self/(attr/.*exec)`: (.*)",
        rf"{_NO_PROFILE}apparmor failed to apply profile: write /proc/self/\1: \2",
    ),
)
_CRUN_EXEC: Final = (
    (r"chdir to `(?!/).*`: .*", "Cwd must be an absolute path"),
    (r"chdir to `(.*)`: .*", r'chdir to cwd ("\1") set in config.json failed: no such file or directory'),
)
_GVISOR: Final = (
    (
        r'^starting container: .*error finding executable "(.*)" in PATH .*',
        r'exec: "\1": executable file not found in $PATH',
    ),
    (r"^starting container: .*failed to load (\S+): (?:.*: )?permission denied$", r'exec: "\1": permission denied'),
    (r"^starting container: .*failed to load (\S+): (?:.*: )?([^:]+)$", r'exec: "\1": stat \1: \2'),
)
_NO_SUCH_FILE: Final = ("executable file not found", "no such file or directory")
_NO_ACCESS: Final = ("permission denied", "is a directory")
_EXIT_CODES: Final = {Reason.NO_SUCH_FILE: 127, Reason.NO_ACCESS: 126}
_FATAL: Final = frozenset({"error", "fatal", "panic"})


def runtime_failure(message: str, profile: str = "") -> SeawayError:
    """The error for a runtime's message. `profile`: the container's AppArmor profile, which messages don't name."""
    text = _in_docker_words(_plain(message.strip()) or _NO_REASON)
    if _NO_PROFILE in text and profile:
        text = text.replace(_NO_PROFILE, f"{_NO_PROFILE}{profile} (is it loaded?): ")
    return SeawayError(_code_for(text), f"{_HEAD}: {text}: unknown", _reason_for(text))


def refused_launch(why: str) -> SeawayError:
    """The error for a launch that is refused before the runtime is asked, in the form that the runtime's have."""
    return SeawayError(Code.INTERNAL, f"{_HEAD}: {why}: unknown")


def exit_code_for(error: SeawayError) -> int:
    """The exit code of a container whose start failed: 127, 126, else 128 (moby, daemon/start.go)."""
    return 128 if error.reason is None else _EXIT_CODES.get(error.reason, 128)


def exec_failure(message: str) -> SeawayError:
    """The error for a runtime's message about a failed exec."""
    text = _plain(message.strip()) or _NO_REASON
    for found, words in _CRUN_EXEC:
        text = re.sub(found, words, text)
    text = _in_docker_words(text)
    return SeawayError(_code_for(text), f"{_EXEC_HEAD}{_EXEC_FAILED}{text.removeprefix(_EXEC_FAILED)}: unknown")


def last_error(log: bytes) -> str:
    """The last error in a runtime's JSON log (`--log-format json`); empty if there is none."""
    errors = [line["msg"] for line in _json_lines(log) if line.get("level") in _FATAL and "msg" in line]
    return str(errors[-1]) if errors else ""


def _json_lines(log: bytes) -> Iterator[dict[str, Any]]:
    for line in log.splitlines():
        with contextlib.suppress(ValueError):
            body = json.loads(line)
            if isinstance(body, dict):
                yield body


def _plain(message: str) -> str:
    """The last error in runc's log lines (logrus), unquoted; other messages unchanged."""
    lines = [(found["level"], found["text"]) for found in _LOG_LINE.finditer(message)]
    errors = [text for level, text in lines if level in _FATAL]
    if not errors:
        return message
    last = errors[-1]
    return re.sub(r"\\(.)", _unescaped, last[1:-1]) if last.startswith('"') else last


def _unescaped(found: re.Match[str]) -> str:
    return {"n": "\n", "t": "\t"}.get(found[1], found[1])


def _in_docker_words(text: str) -> str:
    """crun's and gVisor's errors in runc's wording."""
    for found, words in (*_CRUN, *_GVISOR):
        text = re.sub(found, partial(_worded, words), text)
    for words in ("No such file or directory", "Permission denied", "Is a directory", "Not a directory"):
        text = text.replace(words, words.lower())
    return text


def _worded(words: str, found: re.Match[str]) -> str:
    """The words with what was found in its places; between quotes, its own quotes are escaped, as Go does."""
    quoted = found.expand(words.replace(r'"\1"', "\0"))
    return quoted.replace("\0", json.dumps(found[1], ensure_ascii=False) if found.re.groups else "")


def _code_for(text: str) -> Code:
    wrong = ("executable file", "no such file or directory", "permission denied", "is a directory", "not a directory")
    return Code.BAD_REQUEST if any(part in text.lower() for part in wrong) else Code.INTERNAL


def _reason_for(text: str) -> Reason | None:
    text = text.lower()  # runtimes differ
    if any(part in text for part in _NO_SUCH_FILE):
        return Reason.NO_SUCH_FILE
    return Reason.NO_ACCESS if any(part in text for part in _NO_ACCESS) else None
