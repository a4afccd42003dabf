"""POST /containers/prune, and what else `docker system prune` asks for."""

import json
from typing import Any, Final
from urllib.parse import quote

from differ.steps import Case, Step, case, create, get, post, start, until


def _by(noun: str = "containers", /, **terms: Any) -> Step:
    return post(f"/{noun}/prune?filters={quote(json.dumps(terms))}")


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
    case("networks, of which none is unused", post("/networks/prune")),
    case("networks by label and age", _by("networks", until=["1h"], label=["k"], **{"label!": ["l"]})),
    case("networks by a bad age", _by("networks", until=["x"])),
    case("networks by two ages", _by("networks", until=["1h", "2h"])),
    case("networks by an unknown filter", _by("networks", driver=["bridge"])),
    case("builds, of which there are none", post("/build/prune"), post("/build/prune?all=1&keep-storage=1000")),
    case("builds by age", _by("build", until=["1h"])),
    case("builds by a bad age", _by("build", until=["x"])),
    case("builds by two ages", _by("build", until=["1h", "2h"])),
    case("builds by two kinds", _by("build", type=["regular", "frontend"])),
    case("builds by their kind", _by("build", **{key: ["x"] for key in ("id", "parent", "type", "description")})),
    case("builds by their use", _by("build", inuse=["true"], shared=["false"], private=["true"])),
    case("builds by labels, which none has", _by("build", label=["x"])),
    case("builds by an unknown filter", _by("build", nope=["x"]), _by("build", immutable=["x"])),
    case("builds by the former name of an age", _by("build", **{"unused-for": ["x"]})),
    case("builds by a bad size", post("/build/prune?keep-storage=x")),
)
