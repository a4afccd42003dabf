"""Paths, methods and versions, whatever is behind them."""

from typing import Final

from differ.steps import Case, Request, case, delete, get, post

_VERSIONS: Final = ("1", "1.23", "01.45", "1.045", "x", "1.45x", "1.99", "2")

CASES: Final[tuple[Case, ...]] = (
    case(
        "options", *(Request("OPTIONS", path) for path in ("/info", "/nothing", "/v1.24/volumes", "/")), events="none"
    ),
    case("options of a wrong version", Request("OPTIONS", "/v1.23/info"), events="none"),
    case("networks with a slash", get("/networks/", as_="none"), get("/networks/?filters=x"), events="none"),
    case(
        "slashes at the end",
        *(get(f"/{path}/") for path in ("containers/json", "images/json", "info", "events", "version")),
        events="none",
    ),
    case(
        "empty names",
        *(delete(f"/{noun}/") for noun in ("volumes", "containers", "images", "plugins")),
        get("/volumes/"),
        Request("PUT", "/volumes/", {}),
        *(get(f"/{noun}/") for noun in ("plugins", "swarm", "nodes", "exec", "images", "containers")),
    ),
    case("slashes within", get("//info"), get("/v1.45//info"), get("/v1.45/./info"), get("/v1.45/x/../info")),
    case("versions", *(get(f"/v{version}/_ping", as_="none") for version in _VERSIONS), events="none"),
    case("unknown paths", get("/nothing"), get("/"), get("/v1.45"), get("/containers"), get("/images"), events="none"),
    case(
        "methods that a path lacks",
        post("/info"),
        delete("/version"),
        get("/containers/create"),
        get("/containers/x/start"),
        *(Request(method, "/containers/json") for method in ("PUT", "PATCH", "POST")),
        Request("HEAD", "/info", as_="none"),
        events="none",
    ),
)
