"""Why a build failed, in Docker's words, from what the builder said at its end. Pure."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from seaway_contracts.builds import BuildRecord
from seaway_docker.dockerfile_grammar import exec_form

_EXIT: Final = re.compile(r"while running runtime: exit status (\d{1,3})$")
_SIGNAL: Final = re.compile(r"Invalid signal: (.*)$")
_PREFIX: Final = re.compile(r'^(?:Error: )?(?:building at STEP ".*?": )?', re.DOTALL)
_MISSING: Final = re.compile(r'copier: stat: "/?([^"]*)": no such file or directory')
_ESCAPING: Final = "possible escaping context directory"
_NO_MATCH: Final = re.compile(r"no items matching glob|no files? found|no such file or directory")


class Failure(NamedTuple):
    """The sentence, and the exit code of the step that failed."""

    message: str
    code: int | None = None


def failure_of(step: str, args: Sequence[str], refused: str, record: BuildRecord) -> Failure:
    """`step`: the text of the last step; `args`: of the program that ran in it; `refused`: what the runtime said."""
    notes = record.text.strip()
    if refused:
        return Failure(refused)
    if args and (found := _EXIT.search(notes)):
        code = int(found[1])
        words = exec_form(step.partition(" ")[2].strip()) or args
        return Failure(f"The command '{' '.join(words)}' returned a non-zero code: {code}", code)
    if found := _SIGNAL.search(notes):
        return Failure(f"invalid signal: {found[1]}")
    word = step.split(maxsplit=1)[0].upper() if step else ""
    if word in ("COPY", "ADD"):
        return Failure(f"{word} failed: {_copy_reason(step, notes)}")
    return Failure(_last_sentence(notes) or f"the builder ended with code {record.code}")


def _copy_reason(step: str, notes: str) -> str:
    if _ESCAPING in notes:
        outside = next((part for part in step.split()[1:] if part.startswith("..")), "")
        return f"forbidden path outside the build context: {outside} ()"
    if any(letter in step for letter in "*?[") and _NO_MATCH.search(notes):
        return "no source files were specified"
    if found := _MISSING.search(notes):
        return f"file not found in build context or excluded by .dockerignore: stat {found[1]}: file does not exist"
    return _last_sentence(notes)


def _last_sentence(notes: str) -> str:
    """The last line, without what the builder puts before it."""
    last = notes.rpartition("\n")[2]
    return _PREFIX.sub("", last, count=1).strip()
