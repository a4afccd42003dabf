"""GET /containers/json and its filters."""

import json
from typing import Any, Final
from urllib.parse import quote

from differ.steps import Case, Step, case, create, get, post, start, until


def _by(all_: Any = 1, **terms: Any) -> Step:
    return get(f"/containers/json?all={all_}&filters={quote(json.dumps(terms), safe='{}')}")


_TWO: Final = (
    create(name="one", Labels={"k": "v", "only": "one"}),
    create("sh", "-c", "exit 3", name="two", keep="d", Labels={"k": "w"}),
    start(),
    start("d"),
    until("exited", "d"),
)

CASES: Final[tuple[Case, ...]] = (
    case("none", get("/containers/json"), get("/containers/json?all=1")),
    case(
        "running and all",
        *_TWO,
        get("/containers/json"),
        get("/containers/json?all=1"),
        get("/containers/json?all=true"),
    ),
    case(
        "limits",
        *_TWO,
        get("/containers/json?limit=1"),
        get("/containers/json?limit=0"),
        get("/containers/json?limit=-1"),
        get("/containers/json?limit=x"),
    ),
    case("sizes", *_TWO, get("/containers/json?all=1&size=1")),
    case("a bad all", get("/containers/json?all=perhaps")),
    case(
        "by status",
        *_TWO,
        _by(status=["exited"]),
        _by(status=["running"]),
        _by(status=["created", "exited"]),
        _by(0, status=["exited"]),
    ),
    case("by an unknown status", _by(status=["nonsense"])),
    case("by label", *_TWO, _by(label=["k"]), _by(label=["k=v"]), _by(label=["k=v", "only"]), _by(label=["nothing"])),
    case(
        "by name",
        *_TWO,
        _by(name=["one"]),
        _by(name=["^/one$"]),
        _by(name=["o"]),
        _by(name=["/two"]),
        _by(name=["zzz"]),
    ),
    case("by a bad name pattern", *_TWO, _by(name=["["])),
    case("by id", *_TWO, _by(id=["{c}"]), _by(id=["zzz"])),
    case("by exit code", *_TWO, _by(exited=["3"]), _by(exited=["0"]), _by(exited=["x"])),
    case("by ancestor", *_TWO, _by(ancestor=["busybox"]), _by(ancestor=["busybox:latest"]), _by(ancestor=["nothing"])),
    case("by before and since", *_TWO, _by(before=["two"]), _by(since=["one"]), _by(before=["{d}"])),
    case("by before of nothing", _by(before=["nothing"])),
    case("by since of nothing", _by(since=["nothing"])),
    case("by volume", create(Volumes={"/data": {}}), _by(volume=["/data"]), _by(volume=["/other"])),
    case("by network", *_TWO, _by(network=["none"]), _by(network=["bridge"]), _by(network=["nothing"])),
    case(
        "by published and exposed ports",
        create(
            ExposedPorts={"80/tcp": {}, "81/tcp": {}},
            host={"NetworkMode": "bridge", "PortBindings": {"81/tcp": [{"HostPort": "18081"}]}},
        ),
        start(),
        _by(publish=["81"]),
        _by(publish=["80/tcp"]),
        _by(expose=["80/tcp"]),
        _by(expose=["80-90/tcp"]),
        _by(expose=["x"]),
    ),
    case("by health", *_TWO, _by(health=["none"]), _by(health=["healthy"]), _by(health=["nonsense"])),
    case("by is-task", *_TWO, _by(**{"is-task": ["true"]}), _by(**{"is-task": ["false"]}), _by(**{"is-task": ["x"]})),
    case("by isolation", _by(isolation=["default"]), _by(isolation=["x"])),
    case("by an unknown filter", _by(nonsense=["x"])),
    case("filters in the other form", *_TWO, _by(status={"exited": True}), _by(status={"exited": False})),
    case("filters that are no JSON", get("/containers/json?filters=nonsense")),
    case(
        "filters of a wrong type",
        get("/containers/json?filters=%5B1%5D"),
        get("/containers/json?filters=%7B%22a%22:1%7D"),
    ),
    case(
        "with ports",
        create(
            host={"NetworkMode": "bridge", "PortBindings": {"80/tcp": [{"HostPort": "18082"}]}},
            ExposedPorts={"80/tcp": {}, "90/udp": {}},
        ),
        start(),
        get("/containers/json"),
    ),
    case(
        "with mounts",
        create(Volumes={"/data": {}}, host={"Binds": ["/usr/share:/in:ro"]}),
        get("/containers/json?all=1"),
    ),
    case("paused", create(), start(), post("/containers/{c}/pause"), get("/containers/json"), _by(status=["paused"])),
    case("a long command", create("sh", "-c", "echo 'a b'; " + "x" * 100), get("/containers/json?all=1")),
)
