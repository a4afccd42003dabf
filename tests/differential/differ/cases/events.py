"""GET /events: what is left of the past, and its filters. The order of live events is compared in every scenario."""

import json
from typing import Any, Final
from urllib.parse import quote

from differ.steps import Case, Step, case, create, delete, get, post, start, until


def by(query: str = "since=1&until=4000000000", **terms: Any) -> Step:
    return get(f"/events?{query}&filters={quote(json.dumps(terms), safe='{}')}", as_="lines")


CASES: Final[tuple[Case, ...]] = (
    case(
        "of a container",
        create("true", name="seen", Labels={"k": "v"}),
        start(),
        until("exited"),
        by("since=1&until=1", container=["{c}"]),
        delete("/containers/{c}"),
    ),
    case(
        "the past without since",
        create("true", name="past"),
        start(),
        until("exited"),
        by("until=0", container=["{c}"]),
    ),
    case(
        "the past since 0",
        create("true", name="past"),
        start(),
        until("exited"),
        by("since=0&until=0", container=["{c}"]),
    ),
    case("no past since -1", create("true", name="past"), by("since=-1&until=1", container=["{c}"])),
    case(
        "of an image",
        get("/images/healthy:1/json", keep={"i": "Id"}, as_="none"),
        post("/images/healthy:1/tag?repo=seen&tag=9"),
        get("/images/seen:9/get", as_="none"),
        delete("/images/seen:9"),
        by("until=0", image=["{i}"], event=["tag", "save", "untag"]),
    ),
    case("a bad since", get("/events?since=x")),
    case("a bad until", get("/events?since=1&until=x")),
    case("until before since", get("/events?since=5&until=4")),
    case("an unknown filter", get("/events?since=1&until=2&filters=" + quote('{"nonsense":["x"]}'))),
    case("filters that are no JSON", get("/events?since=1&until=2&filters=nonsense")),
    case("nothing in that time", get("/events?since=1&until=2")),
    case(
        "on the bridge",
        create("true", host={"NetworkMode": "bridge"}),
        start(),
        until("exited"),
        delete("/containers/{c}"),
    ),
    case(
        "with a volume", create("true", Volumes={"/data": {}}), start(), until("exited"), delete("/containers/{c}?v=1")
    ),
    case(
        "with a bind",
        create("true", host={"Binds": ["/usr/share:/in"]}),
        start(),
        until("exited"),
        delete("/containers/{c}?v=1"),
    ),
    case(
        "out of memory",
        create("sh", "-c", "a=x; while :; do a=$a$a; done", host={"Memory": 16 << 20, "MemorySwap": 16 << 20}),
        start(),
        until("exited"),
        get("/containers/{c}/json"),
        delete("/containers/{c}"),
    ),
    case(
        "a signal that ends it",
        create("sh", "-c", "kill -TERM $$"),
        start(),
        until("exited"),
        delete("/containers/{c}"),
    ),
    case(
        "restart on the bridge",
        create(host={"NetworkMode": "bridge"}),
        start(),
        post("/containers/{c}/restart?t=0"),
        delete("/containers/{c}?force=1"),
    ),
    case(
        "image and labels of both",
        create("true", Image="dressed:1", Entrypoint=["true"], Labels={"own": "1"}),
        start(),
        until("exited"),
    ),
)
