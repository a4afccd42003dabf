"""Replaces variables in a word of a Dockerfile, as Docker's shell lexer does. Pure, and bounded: a word of variables
that double each other ends in an error, not in memory.
"""

from collections.abc import Mapping
from typing import Final

from seaway_docker.errors import InvalidParameter

MOST_EXPANDED: Final = 64 << 10
_MOST_DEPTH: Final = 16


def expand(word: str, variables: Mapping[str, str]) -> str:
    """The word with `$NAME`, `${NAME}` and `${NAME:-word}` (also `-`, `:+`, `+`) replaced, and quotes removed.

    Raises InvalidParameter for what can't be read, and for what grows too long.
    """
    return _Expansion(variables).word(word, 0)


class _Expansion:
    """One expansion: what it has made so far counts against the bound."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._left = MOST_EXPANDED

    def word(self, text: str, depth: int) -> str:
        if depth > _MOST_DEPTH:
            raise InvalidParameter("the Dockerfile nests variables too deeply")
        found: list[str] = []
        at, quote = 0, ""
        while at < len(text):
            letter = text[at]
            if letter == "\\" and quote != "'" and at + 1 < len(text):
                piece, at = text[at + 1], at + 2
            elif letter in "'\"" and quote in ("", letter):
                piece, at, quote = "", at + 1, "" if quote else letter
            elif letter == "$" and quote != "'":
                piece, at = self._variable(text, at + 1, depth)
            else:
                piece, at = letter, at + 1
            self._spend(piece)
            found.append(piece)
        return "".join(found)

    def _spend(self, piece: str) -> None:
        self._left -= len(piece)
        if self._left < 0:
            raise InvalidParameter(f"variables of the Dockerfile grow to more than {MOST_EXPANDED} characters")

    def _variable(self, text: str, at: int, depth: int) -> tuple[str, int]:
        """The value of the variable at that place, and where the text goes on behind it."""
        if text[at : at + 1] == "{":
            end = _closing(text, at)
            return self._braced(text[at + 1 : end], depth), end + 1
        name = _name(text, at)
        return (self._variables.get(name, ""), at + len(name)) if name else ("$", at)

    def _braced(self, inside: str, depth: int) -> str:
        name = _name(inside, 0)
        rest = inside[len(name) :]
        value = self._variables.get(name)
        if not name:
            raise InvalidParameter("bad substitution in the Dockerfile: a name is missing in ${}")
        if not rest:
            return value or ""
        empty_counts = rest[0] == ":"
        operator, other = rest[empty_counts : empty_counts + 1], rest[empty_counts + 1 :]
        is_set = bool(value) if empty_counts else value is not None
        if operator == "-":
            return value or "" if is_set else self.word(other, depth + 1)
        if operator == "+":
            return self.word(other, depth + 1) if is_set else ""
        raise InvalidParameter(f"unsupported modifier ({rest[:2]}) in substitution")


def _name(text: str, at: int) -> str:
    end = at
    while end < len(text) and (text[end] == "_" or (text[end].isascii() and text[end].isalnum())):
        if end == at and text[end].isdigit():
            return text[end]
        end += 1
    return text[at:end]


def _closing(text: str, at: int) -> int:
    """The index of the brace that closes the one at `at`."""
    open_braces = 0
    for index in range(at, len(text)):
        if text[index] == "{":
            open_braces += 1
        elif text[index] == "}":
            open_braces -= 1
            if not open_braces:
                return index
    raise InvalidParameter("bad substitution in the Dockerfile: a brace is not closed")
