"""Go's path.Match: `*` and `?` stop at slashes, `[a-z]` and `[^a-z]` classes, `\\` escapes. In linear time."""

from dataclasses import dataclass

from seaway_docker.errors import InvalidParameter


@dataclass(frozen=True, slots=True)
class _Token:
    """One step of a pattern: a star, or a set of character ranges, possibly negated."""

    star: bool = False
    ranges: tuple[tuple[str, str], ...] = ()
    negated: bool = False

    def accepts(self, char: str) -> bool:
        if self.star:
            return char != "/"
        inside = any(low <= char <= high for low, high in self.ranges)
        return inside != self.negated


_ANY = _Token(ranges=(("/", "/"),), negated=True)


def path_match(pattern: str, name: str) -> bool:
    """Whether the whole name matches. Raises InvalidParameter for a malformed pattern."""
    tokens = _tokens(pattern)
    states = _skip_stars(tokens, {0})
    for char in name:
        reached: set[int] = set()
        for state in states:
            if state < len(tokens) and tokens[state].accepts(char):
                reached.add(state if tokens[state].star else state + 1)
        states = _skip_stars(tokens, reached)
        if not states:
            return False
    return len(tokens) in states


def _skip_stars(tokens: list[_Token], states: set[int]) -> set[int]:
    """A star may also match nothing."""
    closed = set(states)
    for state in states:
        following = state
        while following < len(tokens) and tokens[following].star:
            following += 1
            closed.add(following)
    return closed


def _tokens(pattern: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    while position < len(pattern):
        char = pattern[position]
        if char == "*":
            tokens.append(_Token(star=True))
            position += 1
        elif char == "?":
            tokens.append(_ANY)
            position += 1
        elif char == "[":
            token, position = _class(pattern, position + 1)
            tokens.append(token)
        else:
            literal, position = _literal(pattern, position)
            tokens.append(_Token(ranges=((literal, literal),)))
    return tokens


def _class(pattern: str, position: int) -> tuple[_Token, int]:
    negated = pattern[position : position + 1] == "^"
    position += negated
    ranges: list[tuple[str, str]] = []
    while pattern[position : position + 1] != "]" or not ranges:
        if pattern[position : position + 1] in ("-", "]"):
            raise _bad_pattern()
        low, position = _literal(pattern, position)
        high = low
        if pattern[position : position + 1] == "-":
            if pattern[position + 1 : position + 2] in ("-", "]"):
                raise _bad_pattern()
            high, position = _literal(pattern, position + 1)
        ranges.append((low, high))
    return _Token(ranges=tuple(ranges), negated=negated), position + 1


def _literal(pattern: str, position: int) -> tuple[str, int]:
    if pattern[position : position + 1] == "\\":
        position += 1
    if position >= len(pattern):
        raise _bad_pattern()
    return pattern[position], position + 1


def _bad_pattern() -> InvalidParameter:
    return InvalidParameter("syntax error in pattern")
