"""GET /images/search and GET /distribution/{name}/json."""

import json
from typing import Any, Final
from urllib.parse import quote

from differ.cases.events import by
from differ.cases.pushing import _push, _tag, _untag
from differ.registries import NOBODY, REGISTRY, SEARCH
from differ.steps import Case, Step, case, get


def _search(term: str, **more: Any) -> Step:
    query = "".join(f"&{key}={value}" for key, value in more.items())
    return get(f"/images/search?term={quote(term)}{query}")


def _filtered(**filters: Any) -> Case:
    given = json.dumps({key.replace("_", "-"): values for key, values in filters.items()})
    return case(f"search by {given}", _search(f"{SEARCH}/b", filters=quote(given)))


_TOLD: Final = f"{REGISTRY}/told/thing"
_THING: Final = f"{REGISTRY}/remote/thing"

CASES: Final[tuple[Case, ...]] = (
    case(
        "events of names, one of them by a digest",
        get("/images/healthy:1/json", keep={"i": "Id"}, as_="none"),
        _tag("healthy:1", f"{_TOLD}:1"),
        _push(f"{_TOLD}:1"),
        _tag("healthy:1", f"{_TOLD}:2"),
        _push(_TOLD),
        *_untag(f"{_TOLD}:1", f"{_TOLD}:2"),
        by("until=0", image=["{i}", f"{_TOLD}:1", _TOLD], event=["push", "pull", "untag"]),
    ),
    case("search", _search(f"{SEARCH}/busybox"), _search(f"{SEARCH}/a b/c"), _search(f"{SEARCH}/")),
    case("search with a limit", *(_search(f"{SEARCH}/b", limit=limit) for limit in ("1", "0", "100", "101", "x"))),
    case("search that fails", _search(f"{SEARCH}/boom"), _search(f"{REGISTRY}/x"), _search(f"{NOBODY}/x")),
    case("search with a scheme", _search("https://x/y")),
    _filtered(stars=["3"]),
    _filtered(stars=["1", "3"]),
    _filtered(stars=["x"]),
    _filtered(is_official=["true"]),
    _filtered(is_official=["false"]),
    _filtered(is_official=["x"]),
    _filtered(is_automated=["true"]),
    _filtered(is_automated=["false"]),
    _filtered(is_automated=["x"]),
    _filtered(nonsense=["1"]),
    case("search by no JSON", _search(f"{SEARCH}/b", filters="x")),
    case(
        "distribution",
        _tag("busybox", f"{_THING}:1"),
        _push(f"{_THING}:1"),
        get(f"/distribution/{_THING}:1/json", at="Platforms"),
        get(f"/distribution/{_THING}:1/json", at="Descriptor.mediaType"),
        get(f"/distribution/{_THING}:1/json", at="Descriptor.size"),
        get(f"/distribution/{_THING}/json"),
        get(f"/distribution/{_THING}@sha256:{'0' * 64}/json"),
        *_untag(f"{_THING}:1"),
    ),
    case("distribution of what is not there", get(f"/distribution/{REGISTRY}/never/there:1/json")),
    case("distribution that is denied", get(f"/distribution/{SEARCH}/x:1/json")),
    case("distribution of nobody", get(f"/distribution/{NOBODY}/x:1/json")),
    case("distribution by bad names", get("/distribution/A/B/json"), get(f"/distribution/{'0' * 64}/json")),
)
