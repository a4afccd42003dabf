"""What Go's encoding/json says of text that is no JSON. Pure."""

import re
from typing import Final

UNEXPECTED_END: Final = "unexpected EOF"
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_STRING: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*')
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_NUMBER_BEGUN: Final = re.compile(r"-?(?:0|[1-9][0-9]*)?(?:(?<=[0-9])\.[0-9]*)?(?:(?<=[0-9])[eE][+-]?)?")
_WORDS: Final = ("true", "false", "null")
_VALUE: Final = "looking for beginning of value"
_KEY: Final = "looking for beginning of object key string"
_AFTER: Final = {"": "after top-level value", "[": "after array element", "{": "after object key:value pair"}
_CLOSING: Final = {"[": "]", "{": "}"}


class _Fault(Exception):
    """The place at which a text stops to be JSON, and what was expected there."""

    def __init__(self, place: int, expected: str) -> None:
        super().__init__(expected)
        self.place = place
        self.expected = expected


def syntax_error(text: str) -> str:
    """The error of json.Unmarshal for this text; empty where Go finds no fault in it."""
    try:
        _Scanner(text).scan()
    except _Fault as fault:
        if fault.place >= len(text):
            return UNEXPECTED_END
        return f"invalid character {_quoted(text[fault.place])} {fault.expected}"
    return ""


def _quoted(character: str) -> str:
    """As Go's scanner quotes it."""
    if character == "'":
        return r"'\''"
    if character == '"':
        return "'\"'"
    escapes = {"\n": r"\n", "\t": r"\t", "\r": r"\r", "\\": r"\\", "\b": r"\b", "\f": r"\f", "\v": r"\v", "\a": r"\a"}
    if character in escapes:
        return f"'{escapes[character]}'"
    return f"'\\x{ord(character):02x}'" if ord(character) < 0x20 or character == "\x7f" else f"'{character}'"


class _Scanner:
    """Walks through one text; a stack stands for the arrays and objects that are open."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0
        self._open: list[str] = []

    def scan(self) -> None:
        """Raises _Fault at the first one."""
        while True:
            if self._value() and self._closed():
                return

    def _next(self) -> str:
        """The next character that is no space, not taken yet; empty at the end."""
        found = _SPACE.match(self._text, self._place)
        self._place = found.end() if found else self._place
        return self._text[self._place : self._place + 1]

    def _value(self) -> bool:
        """Take a value, or the beginning of one; whether it is whole."""
        character = self._next()
        if character in ("[", "{") and character:
            self._open.append(character)
            self._place += 1
            if self._next() == _CLOSING[character]:
                return True
            if character == "{":
                self._key()
            return False
        if character == '"':
            self._string()
        elif character == "-" or character.isdigit():
            self._number()
        else:
            self._word()
        return True

    def _closed(self) -> bool:
        """Take what follows a value; whether that was the end of the text."""
        while self._open:
            inner = self._open[-1]
            character = self._next()
            if character == _CLOSING[inner]:
                self._open.pop()
                self._place += 1
                continue
            if character != ",":
                raise _Fault(self._place, _AFTER[inner])
            self._place += 1
            if inner == "{":
                self._key()
            return False
        if self._next():
            raise _Fault(self._place, _AFTER[""])
        return True

    def _key(self) -> None:
        if self._next() != '"':
            raise _Fault(self._place, _KEY)
        self._string()
        if self._next() != ":":
            raise _Fault(self._place, "after object key")
        self._place += 1

    def _string(self) -> None:
        found = _STRING.match(self._text, self._place)
        self._place = found.end() if found else self._place
        rest = self._text[self._place : self._place + 6]
        if rest.startswith('"'):
            self._place += 1
        elif rest.startswith("\\u"):
            wrong = next((at for at in range(2, 6) if rest[at : at + 1] not in set("0123456789abcdefABCDEF")), 6)
            raise _Fault(self._place + wrong, r"in \u hexadecimal character escape")
        elif rest.startswith("\\"):
            raise _Fault(self._place + 1, "in string escape code")
        else:
            raise _Fault(self._place, "in string literal")

    def _number(self) -> None:
        begun = _NUMBER_BEGUN.match(self._text, self._place)
        whole = _NUMBER.match(self._text, self._place)
        end = begun.end() if begun else self._place
        if whole is not None and whole.end() >= end:
            self._place = whole.end()
            return
        last = self._text[end - 1]
        expected = "after decimal point in numeric literal" if last == "." else "in exponent of numeric literal"
        raise _Fault(end, "in numeric literal" if last == "-" and end - 1 == self._place else expected)

    def _word(self) -> None:
        word = next((one for one in _WORDS if one[:1] == self._text[self._place : self._place + 1]), "")
        if not word:
            raise _Fault(self._place, _VALUE)
        for at, letter in enumerate(word):
            if self._text[self._place + at : self._place + at + 1] != letter:
                raise _Fault(self._place + at, f"in literal {word} (expecting '{letter}')")
        self._place += len(word)
