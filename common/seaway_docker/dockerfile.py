"""Reads a Dockerfile just far enough to know its instructions. Pure.

The builder interprets them; this only finds where each one begins and ends, as Docker's parser does (BuildKit's
frontend/dockerfile/parser): the directive `escape`, comments, continued lines, heredocs. It is bounded in all that a
Dockerfile may contain, as anybody may send one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from seaway_docker.errors import InvalidParameter

MOST_BYTES: Final = 4 << 20
MOST_LINE: Final = 1 << 20
MOST_INSTRUCTIONS: Final = 10_000
INSTRUCTIONS: Final = frozenset(
    (
        "add", "arg", "cmd", "copy", "entrypoint", "env", "expose", "from", "healthcheck", "label", "maintainer",
        "onbuild", "run", "shell", "stopsignal", "user", "volume", "workdir",
    )
)  # fmt: skip
_DIRECTIVE: Final = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(\S*)\s*")
_BLANKS: Final = re.compile(r"[\t\v\f\r ]+")
_HEREDOC: Final = re.compile(r"\d*<<(-?)([^<]+)")
_WITH_HEREDOCS: Final = frozenset(("add", "copy", "run"))
_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: `word` in lower case, its `flags` (`--from=x`) and the `rest` of its line.

    `text` is the whole line, continued lines joined as Docker prints them; `line` is the number of the first one in the
    file, `end` that of the last, without heredocs. `has_gap`: there are empty lines among those that continue it.
    """

    word: str
    flags: tuple[str, ...]
    rest: str
    text: str
    line: int
    end: int = 0
    has_gap: bool = False

    def values(self, name: str) -> list[str]:
        """The values of a flag, as often as it is given."""
        pairs = [flag[2:].partition("=") for flag in self.flags]
        return [value for key, _, value in pairs if key == name]


def instructions(text: str) -> list[Instruction]:
    """All instructions of a Dockerfile. Raises InvalidParameter, mostly in Docker's words, for what is none."""
    if len(text) > MOST_BYTES:
        raise InvalidParameter(f"the Dockerfile has more than {MOST_BYTES} bytes")
    found: list[Instruction] = []
    for one in _instructions(text.removeprefix("\ufeff").split("\n")):
        found.append(one)
        if len(found) > MOST_INSTRUCTIONS:
            raise InvalidParameter(f"the Dockerfile has more than {MOST_INSTRUCTIONS} instructions")
    if not found:
        raise InvalidParameter("failed to parse Dockerfile: file with no instructions")
    return found


def _instructions(lines: list[str]) -> Iterator[Instruction]:
    escape = _escape_of(lines)
    at = 0
    while at < len(lines):
        joined, first, at, has_gap = _logical_line(lines, at, escape)
        if not joined:
            continue
        word, flags, rest = split(joined)
        end = at
        if word in _WITH_HEREDOCS or (word == "onbuild" and split(rest)[0] in _WITH_HEREDOCS):
            at = _past_heredocs(joined, lines, at)
        yield Instruction(word, flags, rest, joined, first, end, has_gap)


def parse_error(line: int, what: str) -> InvalidParameter:
    """The error of a line, as Docker words it."""
    return InvalidParameter(f"dockerfile parse error on line {line}: {what}")


def _escape_of(lines: list[str]) -> str:
    """The character that continues lines; a directive before everything else may change it."""
    for line in lines:
        found = _DIRECTIVE.fullmatch(line.strip()) if len(line) < 1024 else None
        if found is None:
            break
        if found[1].lower() == "escape":
            if found[2] not in ("\\", "`"):
                raise InvalidParameter(
                    f"failed to parse Dockerfile: invalid escape token '{found[2][:_SHOWN]}' does not match ` or \\"
                )
            return found[2]
    return "\\"


def _logical_line(lines: list[str], at: int, escape: str) -> tuple[str, int, int, bool]:
    """A line with those that continue it, its number, the index of the next one, and whether there are gaps in it.

    Empty for comments and blanks.
    """
    parts: list[str] = []
    first, size, has_gap = at + 1, 0, False
    while at < len(lines):
        line, at = lines[at].rstrip("\r"), at + 1
        size += len(line)
        if size > MOST_LINE:
            raise parse_error(at, f"dockerfile line greater than maximum allowed size of {MOST_LINE} bytes")
        stripped = line.strip()
        if not stripped or stripped[0] == "#":
            if parts:
                has_gap = has_gap or not stripped
                continue
            break
        piece, is_continued = _uncontinued(line if parts else line.lstrip(), escape)
        parts.append(piece)
        if not is_continued:
            break
    return "".join(parts).strip(), first, at, has_gap


def _uncontinued(line: str, escape: str) -> tuple[str, bool]:
    """The line without the escape character at its end, and whether that was there. A doubled one is none."""
    body = line.rstrip(" \t")
    if body.endswith(escape) and not body.endswith(escape * 2):
        return body[:-1], True
    return line, False


def split(line: str) -> tuple[str, tuple[str, ...], str]:
    """The instruction's word in lower case, its flags, and what follows them."""
    word, *others = _BLANKS.split(line.strip(), maxsplit=1)
    rest = others[0].strip() if others else ""
    flags, at = [], 0
    while rest.startswith("--", at):
        flag, at = _word_at(rest, at)
        flags.append(flag)
        if flag == "--":
            break
    return word.lower(), tuple(flags), rest[at:]


def _word_at(text: str, at: int) -> tuple[str, int]:
    """The word that begins there, without its quotes, and where the next one begins."""
    quote = ""
    found: list[str] = []
    while at < len(text):
        letter = text[at]
        if letter == quote:
            quote = ""
        elif quote:
            found.append(letter)
        elif letter in "'\"":
            quote = letter
        elif letter.isspace():
            break
        else:
            found.append(letter)
        at += 1
    while at < len(text) and text[at].isspace():
        at += 1
    return "".join(found), at


def raw_words(text: str) -> Iterator[str]:
    """The words of a line with their quotes; blanks in quotes part no words."""
    quote, begin = "", -1
    for at, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter.isspace():
            if begin >= 0:
                yield text[begin:at]
            begin = -1
            continue
        elif letter in "'\"":
            quote = letter
        if begin < 0:
            begin = at
    if begin >= 0:
        yield text[begin:]


def _past_heredocs(line: str, lines: list[str], at: int) -> int:
    """The index of the line behind the heredocs that a line opens."""
    if "<<" not in line:
        return at
    for word in raw_words(line):
        found = _HEREDOC.fullmatch(word)
        if found is None:
            continue
        name, begin = found[2].strip("'\""), at
        while True:
            if at >= len(lines):
                raise parse_error(begin, "unterminated heredoc")
            text, at = lines[at].rstrip("\r"), at + 1
            if (text.lstrip("\t") if found[1] else text) == name:
                break
    return at
