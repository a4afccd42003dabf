"""GET /containers/{id}/logs."""

from typing import Final

from differ.steps import Case, Finish, UntilLogged, case, create, get, post, start, until

_L: Final = "/containers/{c}/logs?"
_BOTH: Final = f"{_L}stdout=1&stderr=1"
_SAID: Final = (
    create("sh", "-c", "for n in 1 2 3; do echo out $n; echo err $n >&2; done; printf end"),
    start(),
    until("exited"),
)

CASES: Final[tuple[Case, ...]] = (
    case("both", *_SAID, get(_BOTH, as_="frames")),
    case("stdout", *_SAID, get(f"{_L}stdout=1", as_="frames"), get(f"{_L}stdout=true&stderr=false", as_="frames")),
    case("stderr", *_SAID, get(f"{_L}stderr=1", as_="frames")),
    case("neither", *_SAID, get(_L), get(f"{_L}stdout=0")),
    case(
        "a tail",
        create("sh", "-c", "for n in 1 2 3; do echo out $n; done; printf end"),
        start(),
        until("exited"),
        get(f"{_L}stdout=1&tail=2", as_="frames"),
        get(f"{_L}stdout=1&tail=0", as_="frames"),
        get(f"{_L}stdout=1&tail=all", as_="frames"),
        get(f"{_L}stdout=1&tail=-1", as_="frames"),
        get(f"{_L}stdout=1&tail=x", as_="frames"),
    ),
    case(
        "a tail of one stream",
        create("sh", "-c", "echo out; sleep 0.2; echo err >&2; echo more >&2"),
        start(),
        until("exited"),
        get(f"{_L}stdout=1&tail=2", as_="frames"),
        get(f"{_BOTH}&tail=2", as_="frames"),
    ),
    case("timestamps", *_SAID, get(f"{_L}stdout=1&timestamps=1", as_="frames")),
    case(
        "since and until",
        *_SAID,
        get(f"{_L}stdout=1&since=1", as_="frames"),
        get(f"{_L}stdout=1&until=1", as_="frames"),
        get(f"{_L}stdout=1&since=4102444800", as_="frames"),
        get(f"{_L}stdout=1&since=1.5", as_="frames"),
    ),
    case("a bad since", *_SAID, get(f"{_L}stdout=1&since=x")),
    case("a bad until", *_SAID, get(f"{_L}stdout=1&until=x")),
    case(
        "details",
        create(
            "echo",
            "x",
            Env=["A=b"],
            Labels={"k": "v"},
            host={"LogConfig": {"Type": "json-file", "Config": {"labels": "k", "env": "A"}}},
        ),
        start(),
        until("exited"),
        get(f"{_L}stdout=1&details=1", as_="frames"),
    ),
    case(
        "follow to the end",
        create("sh", "-c", "echo a; sleep 0.2; echo b"),
        start(),
        get(f"{_BOTH}&follow=1", as_="frames"),
    ),
    case("follow what has ended", *_SAID, get(f"{_BOTH}&follow=1", as_="frames")),
    case(
        "follow until it is killed",
        create("sh", "-c", "echo a; sleep 60"),
        start(),
        UntilLogged("a"),
        get(f"{_BOTH}&follow=1", as_="frames", begin="l"),
        post("/containers/{c}/kill"),
        Finish("l"),
    ),
    case(
        "follow with a tail",
        create("sh", "-c", "echo a; echo b; sleep 0.3; echo c"),
        start(),
        get(f"{_BOTH}&follow=1&tail=all", as_="frames"),
    ),
    case("of a created one", create(), get(_BOTH, as_="frames")),
    case("follow a created one", create(), get(f"{_BOTH}&follow=0", as_="frames")),
    case("of nothing", get("/containers/nothing/logs?stdout=1")),
    case(
        "from a terminal",
        create("sh", "-c", "echo out; echo err >&2", Tty=True),
        start(),
        until("exited"),
        get(_BOTH, as_="raw"),
    ),
    case(
        "of two runs",
        create("echo", "again"),
        start(),
        until("exited"),
        start(),
        until("exited"),
        get(_BOTH, as_="frames"),
    ),
    case(
        "of a long line",
        create("sh", "-c", "head -c 40000 /dev/zero | tr '\\0' x; echo; echo short"),
        start(),
        until("exited"),
        get(_BOTH, as_="frames"),
        get(f"{_BOTH}&tail=2", as_="frames"),
    ),
    case(
        "of bytes that are no text",
        create("printf", "\\377\\000a\\n"),
        start(),
        until("exited"),
        get(_BOTH, as_="frames"),
    ),
    case(
        "without a log",
        create("echo", "x", host={"LogConfig": {"Type": "none"}}),
        start(),
        until("exited"),
        get(_BOTH, as_="frames"),
    ),
    case(
        "by the driver local",
        create("echo", "x", host={"LogConfig": {"Type": "local"}}),
        start(),
        until("exited"),
        get(_BOTH, as_="frames"),
    ),
    case(
        "rotated",
        create(
            "sh",
            "-c",
            "seq 1 20000",
            host={"LogConfig": {"Type": "json-file", "Config": {"max-size": "100k", "max-file": "2"}}},
        ),
        start(),
        until("exited"),
        get(f"{_BOTH}&tail=3", as_="frames"),
    ),
)
