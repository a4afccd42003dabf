"""POST /containers/prune."""

import json
from typing import Any, Final
from urllib.parse import quote

from differ.steps import Case, Step, case, create, get, post, start, until


def _by(**terms: Any) -> Step:
    return post(f"/containers/prune?filters={quote(json.dumps(terms))}")


_THREE: Final = (
    create(name="created", Labels={"k": "v"}), create("true", name="ended", keep="d", Labels={"k": "w"}),
    create(name="runs", keep="e"), start("d"), until("exited", "d"), start("e"),
)  # fmt: skip

CASES: Final[tuple[Case, ...]] = (
    case("nothing to do", create(), start(), post("/containers/prune")),
    case("one of three stays", *_THREE, post("/containers/prune"), get("/containers/json?all=1"), events="distinct"),
    case("by label", *_THREE, _by(label=["k=v"]), get("/containers/json?all=1"), events="distinct"),
    case(
        "by label that is not there",
        *_THREE,
        _by(**{"label!": ["k=v"]}),
        get("/containers/json?all=1"),
        events="distinct",
    ),
    case("by age", *_THREE, _by(until=["1h"]), _by(until=["1"]), _by(until=["2030-01-01"]), events="distinct"),
    case("by a bad age", _by(until=["x"])),
    case("by two ages", _by(until=["1h", "2h"])),
    case("by an unknown filter", _by(nonsense=["x"])),
    case(
        "paused",
        create(),
        start(),
        post("/containers/{c}/pause"),
        post("/containers/prune"),
        get("/containers/json?all=1"),
    ),
)
