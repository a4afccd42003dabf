"""JSON from strangers: bounded, strict, and without the tricks that make two parsers see two documents. Pure."""

import json
from typing import Any, Final

from seaway_contracts.errors import Code, SeawayError, bad_request

MAX_MANIFEST: Final = 4 << 20
MAX_CONFIG: Final = 512 << 10  # it must fit into one bus message
MAX_DEPTH: Final = 64


def parse_document(data: bytes, what: str, *, limit: int = MAX_MANIFEST) -> dict[str, Any]:
    """The JSON object in `data`; raises SeawayError for size, depth, duplicate keys, other JSON values, bad UTF-8."""
    if len(data) > limit:
        raise SeawayError(Code.TOO_LARGE, f"{what} has {len(data)} bytes, more than the {limit} allowed")
    value = parse_json(data, what)
    if not isinstance(value, dict):
        raise bad_request(f"{what} is no JSON object")
    return value


def parse_json(data: bytes, what: str) -> Any:
    """Any JSON value, under the same rules as `parse_document` save for its size."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant)
    except RecursionError:
        raise bad_request(f"{what} is nested more than {MAX_DEPTH} deep") from None
    except ValueError as error:
        raise bad_request(f"{what} is not valid JSON: {str(error)[:200]}") from None
    if _depth_exceeds(value, MAX_DEPTH):
        raise bad_request(f"{what} is nested more than {MAX_DEPTH} deep")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:100]!r} stands twice in one object")
    return found


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


def _depth_exceeds(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True
