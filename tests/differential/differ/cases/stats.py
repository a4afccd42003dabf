"""GET /containers/{id}/stats: its shape, as the numbers are different by nature."""

from typing import Final

from differ.steps import Case, case, create, get, start, until

CASES: Final[tuple[Case, ...]] = (
    case(
        "one sample",
        create(host={"Memory": 64 << 20}),
        start(),
        get("/containers/{c}/stats?stream=0&one-shot=1", as_="shape"),
    ),
    case("two samples", create(), start(), get("/containers/{c}/stats?stream=0", as_="shape")),
    case(
        "on the bridge",
        create(host={"NetworkMode": "bridge"}),
        start(),
        get("/containers/{c}/stats?stream=0&one-shot=1", as_="shape"),
    ),
    case("of a created one", create(), get("/containers/{c}/stats?stream=0&one-shot=1", as_="shape")),
    case(
        "of an exited one", create("true"), start(), until("exited"), get("/containers/{c}/stats?stream=0", as_="shape")
    ),
    case("one-shot as a stream", create(), start(), get("/containers/{c}/stats?one-shot=1")),
    case("of nothing", get("/containers/nothing/stats?stream=0")),
)
