"""What `seaway doctor` says of one thing. Pure."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "note", "fail"]


@dataclass(frozen=True)
class Finding:
    """The result of one check. `note`: something may be improved, `fail`: something must be done. `todo`: what."""

    what: str
    level: Level
    text: str
    todo: str = ""


def ok(what: str, text: str) -> Finding:
    """All is well."""
    return Finding(what, "ok", text)


def note(what: str, text: str, todo: str) -> Finding:
    """It works; something is missing, or may surprise."""
    return Finding(what, "note", text, todo)


def fail(what: str, text: str, todo: str) -> Finding:
    """It doesn't work until somebody has done something."""
    return Finding(what, "fail", text, todo)


def finding_text(finding: Finding) -> str:
    """A line, and what to do on a second one."""
    word = {"ok": "ok  ", "note": "note", "fail": "FAIL"}[finding.level]
    todo = f"\n      → {finding.todo}" if finding.todo else ""
    return f"{word}  {finding.what}: {finding.text}{todo}"
