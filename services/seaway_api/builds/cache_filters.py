"""Which entries of the build caches a prune may take, by its filters (moby 26.1 builder-next, Prune). Pure."""

from collections.abc import Callable, Collection, Mapping
from typing import Final

from seaway_contracts.builds import CachedStep
from seaway_docker.errors import InvalidParameter
from seaway_docker.filters import Filters, parse_filters
from seaway_docker.patterns import searcher
from seaway_docker.timestamps import parse_timestamp

TYPE: Final = "regular"
_FAILED: Final = "failed to prune build cache: "
_VALUES: Final[Mapping[str, Callable[[CachedStep], str]]] = {
    "id": lambda step: step.id,
    "parent": lambda step: step.parent,
    "type": lambda _: TYPE,
    "description": lambda step: step.description,
}
_FLAGS: Final[Mapping[str, Callable[[CachedStep], bool]]] = {
    "inuse": lambda step: step.in_use,
    "shared": lambda _: False,
    "private": lambda _: True,
}
_TIMES: Final = ("until", "unused-for")
_ALLOWED: Final = frozenset((*_VALUES, *_FLAGS, *_TIMES, "label", "label!"))
"""Labels are taken, and have no effect: entries have none."""


def read_prune_filters(text: str) -> Filters:
    """The filters of a prune. Raises InvalidParameter, where dockerd does so with a word before."""
    filters = parse_filters(text, None)
    try:
        parse_filters(text, _ALLOWED)
        if all(key in filters for key in _TIMES):
            raise InvalidParameter('conflicting filters: "until" and "unused-for"')
        if any(len(filters.get(key)) > 1 for key in (*_VALUES, *_FLAGS, *_TIMES)):
            raise InvalidParameter("filters expect only one value")
        if filters.get("id"):
            _pattern(filters.get("id")[0])
    except InvalidParameter as error:
        raise InvalidParameter(f"{_FAILED}{error}") from None
    return filters


def used_before_ns(filters: Filters, now_ns: int) -> int:
    """Only entries that were last used before; 0: all. Raises InvalidParameter."""
    given = [value for key in _TIMES for value in filters.get(key)]
    if not given:
        return 0
    try:
        return parse_timestamp(given[0], now_ns)
    except InvalidParameter as error:
        key = next(key for key in _TIMES if filters.get(key))
        wanted = f"\"{key}\" filter expects a duration (e.g., '24h') or a timestamp"
        raise InvalidParameter(f"{_FAILED}{wanted}: {error}") from None


def chosen_ids(filters: Filters, steps: Collection[CachedStep]) -> tuple[str, ...] | None:
    """The ids of those that match; None where the filters choose by nothing but time."""
    if not any(key in filters for key in (*_VALUES, *_FLAGS)):
        return None
    return tuple(step.id for step in steps if _matches(filters, step))


def _matches(filters: Filters, step: CachedStep) -> bool:
    """A key without a value asks whether there is any; that of a flag has none, and so equals none that is given."""
    for key, value_of in _VALUES.items():
        if key in filters and not _fits(key, filters.get(key), value_of(step)):
            return False
    return all(key not in filters or (is_set(step) and not filters.get(key)) for key, is_set in _FLAGS.items())


def _fits(key: str, wanted: tuple[str, ...], value: str) -> bool:
    if not wanted:
        return bool(value)
    return _pattern(wanted[0])(value) if key == "id" else value == wanted[0]


def _pattern(text: str) -> Callable[[str], bool]:
    try:
        return searcher(text)
    except ValueError as error:
        raise InvalidParameter(f"error parsing regexp: {error}") from error
