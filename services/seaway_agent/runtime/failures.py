"""What a runtime says when it can't make a container, in Docker's words. Pure.

Clients read the exit codes 125, 126 and 127 out of the sentence, letter by letter (docker/cli, run.go), and runc's
words are the ones that they know.
"""

import re
from typing import Final

from seaway_contracts.errors import Code, SeawayError

_HEAD: Final = "failed to create task for container: failed to create shim task: OCI runtime create failed"
_NO_REASON: Final = "the runtime gave no reason"
_LOG_LINE: Final = re.compile(r'^time="[^"]*" level=(?P<level>\w+) msg=(?P<text>"(?:[^"\\]|\\.)*"|\S+)', re.MULTILINE)
_CRUN: Final = (
    (r"executable file `(.*)` not found in \$PATH.*", r'exec: "\1": executable file not found in $PATH'),
    (r"executable file `(.*)` not found: .*", r'exec: "\1": stat \1: no such file or directory'),
    (r"the path `(.*)` exists but it is not executable.*", r'exec: "\1": permission denied'),
    (r"the path `(.*)` is not a regular file.*", r'exec: "\1": not a regular file: permission denied'),
    (r"cannot open `(.*)`: Not a directory", r'exec: "\1": stat \1: not a directory'),
)
_FATAL: Final = frozenset({"error", "fatal", "panic"})


def runtime_failure(message: str) -> SeawayError:
    """The error for the runtime's words."""
    text = _in_docker_words(_plain(message.strip()) or _NO_REASON)
    return SeawayError(_code_for(text), f"{_HEAD}: {text}: unknown")


def _plain(message: str) -> str:
    """runc writes log lines (logrus): the last error among them, without its wrapping."""
    lines = [(found["level"], found["text"]) for found in _LOG_LINE.finditer(message)]
    errors = [text for level, text in lines if level in _FATAL]
    if not errors:
        return message
    last = errors[-1]
    return re.sub(r"\\(.)", _unescaped, last[1:-1]) if last.startswith('"') else last


def _unescaped(found: re.Match[str]) -> str:
    return {"n": "\n", "t": "\t"}.get(found[1], found[1])


def _in_docker_words(text: str) -> str:
    """crun's errors as runc words them."""
    for found, words in _CRUN:
        text = re.sub(found, words, text)
    for words in ("No such file or directory", "Permission denied", "Is a directory", "Not a directory"):
        text = text.replace(words, words.lower())
    return text


def _code_for(text: str) -> Code:
    wrong = ("executable file", "no such file or directory", "permission denied", "is a directory", "not a directory")
    return Code.BAD_REQUEST if any(part in text.lower() for part in wrong) else Code.INTERNAL
