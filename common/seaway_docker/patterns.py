"""Regular expressions as Docker has them, by RE2, the engine after which Go's is made. Pure.

Matching takes time in proportion to the text, whatever the pattern: Python's own engine backtracks, and a pattern of
80 characters can keep it busy for hours.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

import re2

_MEMORY: Final = 1 << 18
"""Bytes for the compiled pattern and its automaton: larger patterns are refused."""
_REMEMBERED: Final = 8192


@lru_cache(maxsize=64)
def searcher(pattern: str) -> Callable[[str], bool]:
    """Return a function that says whether the pattern occurs in a text. Raises ValueError for what is no pattern."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    options.never_capture = True
    try:
        search = re2.compile(pattern.encode(), options).search
    except re2.error as error:
        raise ValueError(error.args[0].decode(errors="replace")) from None

    @lru_cache(maxsize=_REMEMBERED)
    def found_in(text: str) -> bool:
        return search(text.encode(errors="replace")) is not None

    return found_in
