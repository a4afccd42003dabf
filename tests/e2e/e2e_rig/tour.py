"""The README's tour, read as a list of commands with what they print."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

_BLOCK = re.compile(r"^```(console|sh)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_DAY_OR_MONTH = "[A-Z][a-z]{2}(?= +[A-Z][a-z]{2} [0-9])|(?<= )[A-Z][a-z]{2}(?= +[0-9])"
_NODE = r"\b(?:debian|n2)\b"
_WORD = re.compile(rf"[0-9a-f]{{6,}}|[0-9]+|{_DAY_OR_MONTH}|…|\s+|{_NODE}")


@dataclass(frozen=True)
class Step:
    """One command, and patterns of the lines that it prints. `interrupted`: the reader ends it by Ctrl-C."""

    command: str
    printed: tuple[str, ...] = ()
    interrupted: bool = False


@dataclass(frozen=True)
class Block:
    """Commands that stand together. What one prints in the background may come among the others' lines."""

    line: int
    steps: tuple[Step, ...]


def blocks(page: Path) -> list[Block]:
    """The commands of all console and sh blocks."""
    text = page.read_text()
    return [
        _console(text.count("\n", 0, found.start()) + 1, found[2].splitlines())
        if found[1] == "console"
        else Block(text.count("\n", 0, found.start()) + 1, tuple(Step(line) for line in found[2].splitlines()))
        for found in _BLOCK.finditer(text)
    ]


def _console(line: int, lines: list[str]) -> Block:
    steps: list[Step] = []
    for text in lines:
        if text.startswith("# "):
            steps.append(Step(text[2:]))
        elif text == "^C":
            steps[-1] = replace(steps[-1], interrupted=True)
        elif text.strip(" …"):
            steps[-1] = replace(steps[-1], printed=(*steps[-1].printed, pattern(text)))
    return Block(line, tuple(steps))


def pattern(line: str) -> str:
    """What matches a printed line, whatever its numbers, ids, dates, spaces and nodes are; `…` stands for anything."""
    at, parts = 0, []
    for found in _WORD.finditer(line.strip()):
        parts += [re.escape(line.strip()[at : found.start()]), _kind(found[0])]
        at = found.end()
    return "".join([*parts, re.escape(line.strip()[at:])])


def _kind(word: str) -> str:
    if word == "…":
        return ".*"
    if word.isspace():
        return r"\s+"
    if word.isdigit():
        return "[0-9]+"
    if re.fullmatch(_NODE, word):
        return r"\w+"
    return "[A-Za-z]{3}" if word.isalpha() and len(word) == 3 else "[0-9a-f]+"
