"""Words of Dockerfile instructions: split, and expanded as a shell would, in bounded space (BuildKit's frontend). Pure.

There is quoting, `$A` and `${A}` with the modifiers `-`, `+` and `?`, each also after a colon; there are no patterns.
"""

import json
import re
from collections.abc import Mapping
from typing import Final

from seaway_contracts.errors import bad_request

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[*@#?$!-]")
_WORD: Final = re.compile(r"""(?:\\.|"(?:\\.|[^"\\])*(?:"|\\?$)|'[^']*(?:'|$)|[^\s\\"']|\\$)+""", re.DOTALL)
_DEEPEST: Final = 32


def split_words(text: str) -> list[str]:
    """The words between white space, with their quotes."""
    return _WORD.findall(text)


class Budget:
    """How many characters expansions may still make together: each may double what the one before has made."""

    def __init__(self, characters: int) -> None:
        self._left = characters

    def spend(self, text: str) -> str:
        """The text; raises SeawayError(BAD_REQUEST) where it is one too many."""
        self._left -= len(text)
        if self._left < 0:
            raise bad_request("the instructions expand to more text than an image's config may hold")
        return text


def expand(word: str, variables: Mapping[str, str], budget: Budget) -> str:
    """The word without quotes, with the values of variables. Raises SeawayError(BAD_REQUEST), naming the word."""
    try:
        return _Expansion(word, variables, budget).until("")
    except _Wrong as error:
        shown = json.dumps(word[:200], ensure_ascii=False)
        raise bad_request(f"failed to process {shown}: {error}") from None


class _Wrong(Exception):
    """Why a word can't be expanded."""


class _Expansion:
    def __init__(self, word: str, variables: Mapping[str, str], budget: Budget) -> None:
        self._word = word
        self._variables = variables
        self._budget = budget
        self._at = self._depth = 0

    def until(self, stop: str) -> str:
        """Up to that character, or to the end."""
        parts: list[str] = []
        while (sign := self._next()) != stop:
            if not sign:
                raise _Wrong(f"unexpected end of statement while looking for matching {stop}")
            parts.append(self._part(sign))
        return "".join(parts)

    def _next(self) -> str:
        sign = self._word[self._at : self._at + 1]
        self._at += 1
        return sign

    def _part(self, sign: str) -> str:
        match sign:
            case "'":
                return self._budget.spend(self._single_quoted())
            case '"':
                return self._double_quoted()
            case "$":
                return self._variable()
            case "\\":
                return self._budget.spend(self._next())
            case _:
                return self._budget.spend(sign)

    def _single_quoted(self) -> str:
        end = self._word.find("'", self._at)
        if end < 0:
            raise _Wrong("unexpected end of statement while looking for matching single-quote")
        text, self._at = self._word[self._at : end], end + 1
        return text

    def _double_quoted(self) -> str:
        parts: list[str] = []
        while (sign := self._next()) != '"':
            if not sign:
                raise _Wrong("unexpected end of statement while looking for matching double-quote")
            if sign == "\\":
                escaped = self._next()
                parts.append(self._budget.spend(escaped if escaped in ('"', "$", "\\") else f"\\{escaped}"))
            else:
                parts.append(self._variable() if sign == "$" else self._budget.spend(sign))
        return "".join(parts)

    def _variable(self) -> str:
        if self._word[self._at : self._at + 1] != "{":
            name = self._name()
            return self._budget.spend(self._variables.get(name, "") if name else "$")
        self._at += 1
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _Wrong(f"substitutions are nested more than {_DEEPEST} deep")
        value = self._braced()
        self._depth -= 1
        return value

    def _name(self) -> str:
        found = _NAME.match(self._word, self._at)
        self._at = found.end() if found else self._at
        return found[0] if found else ""

    def _braced(self) -> str:
        name = self._name()
        if not name:
            raise _Wrong("syntax error: bad substitution")
        sign, value = self._next(), self._variables.get(name)
        if sign == "}":
            return self._budget.spend(value or "")
        modifier = sign + (self._next() if sign == ":" else "")
        if modifier[-1:] not in ("-", "+", "?") or not modifier:
            raise _Wrong(f"unsupported modifier ({modifier}) in substitution")
        word = self.until("}")
        given = value if value or not modifier.startswith(":") else None
        if modifier[-1] == "+":
            return "" if given is None else word
        if given is None and modifier[-1] == "?":
            raise _Wrong(f"{name}: {word or 'is not allowed to be ' + ('unset' if value is None else 'empty')}")
        return word if given is None else self._budget.spend(given)
