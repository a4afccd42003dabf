"""What an engine without plugins says of them."""

from typing import Final

from differ.steps import Case, case, delete, get, post

CASES: Final[tuple[Case, ...]] = (
    case("list", get("/plugins"), get('/plugins?filters={"enabled":["true"]}')),
    case("list by a wrong filter", get("/plugins?filters={"), get('/plugins?filters={"nope":["x"]}')),
    case("list by a wrong value", get('/plugins?filters={"enabled":["x"]}')),
    case("one that is not there", get("/plugins/x/json"), get("/plugins/a/b:c/json"), delete("/plugins/x?force=1")),
    case("enable and disable", post("/plugins/x/enable?timeout=0"), post("/plugins/x/disable")),
    case("enable without a time", post("/plugins/x/enable"), post("/plugins/x/enable?timeout=x")),
    case("set, push and upgrade", post("/plugins/x/set", ["a=b"]), post("/plugins/x/push")),
    case("upgrade", post("/plugins/x/upgrade?remote=127.0.0.1:9/x", [])),
    case("bad references", post("/plugins/pull?remote=Y", []), post("/plugins/create"), get("/plugins/privileges")),
)
