"""POST /containers/{id}/attach."""

from typing import Final

from differ.steps import (
    Case,
    Finish,
    UntilLogged,
    case,
    create,
    get,
    hijack,
    message,
    post,
    start,
    until,
    websocket,
)

_A: Final = "/containers/{c}/attach?stream=1&"
_BOTH: Final = f"{_A}stdout=1&stderr=1"
_ALL: Final = f"{_BOTH}&stdin=1"
_CAT: Final = create("cat", OpenStdin=True, StdinOnce=True)

CASES: Final[tuple[Case, ...]] = (
    case(
        "before the start",
        create("sh", "-c", "echo out; sleep 0.1; echo err >&2"),
        hijack(_BOTH, begin="a"),
        start(),
        Finish("a"),
    ),
    case("through cat", _CAT, hijack(_ALL, begin="a"), start(), Finish("a", b"around\n"), until("exited")),
    case("without an upgrade", create("echo", "x"), post(_BOTH, as_="frames", begin="a"), start(), Finish("a")),
    case(
        "only stdout",
        create("sh", "-c", "echo out; echo err >&2"),
        hijack(f"{_A}stdout=1", begin="a"),
        start(),
        Finish("a"),
    ),
    case("no stream at all", create("echo", "x"), hijack("/containers/{c}/attach")),
    case("with a terminal", create("echo", "x", Tty=True), hijack(_BOTH, as_="raw", begin="a"), start(), Finish("a")),
    case(
        "to one that runs",
        create("sh", "-c", "echo early; read x; echo got $x", OpenStdin=True),
        start(),
        UntilLogged("early"),
        hijack(_ALL, begin="a"),
        Finish("a", b"line\n", close=False),
    ),
    case(
        "with the log",
        create("sh", "-c", "echo early; read x; echo got $x", OpenStdin=True),
        start(),
        UntilLogged("early"),
        hijack(f"{_ALL}&logs=1", begin="a"),
        Finish("a", b"line\n", close=False),
    ),
    case(
        "only the log",
        create("echo", "said"),
        start(),
        until("exited"),
        hijack("/containers/{c}/attach?logs=1&stdout=1&stderr=1"),
    ),
    case(
        "to one that has ended",
        create("true"),
        start(),
        until("exited"),
        hijack(_BOTH, begin="a"),
        start(),
        Finish("a"),
    ),
    case(
        "over a websocket",
        create("sh", "-c", "read x; echo got $x; read y; echo end", OpenStdin=True, StdinOnce=True),
        websocket("/containers/{c}/attach/ws?stream=1&stdin=1&stdout=1&stderr=1", begin="a"),
        start(),
        Finish("a", message(b"line\n") + message(b"more\n"), close=False),
        until("exited"),
    ),
    case(
        "over a websocket, with a terminal and the log",
        create("sh", "-c", "echo early; read x; echo got $x", OpenStdin=True, Tty=True),
        start(),
        UntilLogged("early"),
        websocket("/containers/{c}/attach/ws?stream=1&logs=1&stdin=1&stdout=1&stderr=1", begin="a"),
        Finish("a", message(b"line\n"), close=False),
    ),
    case("over a websocket to nothing", websocket("/containers/nothing/attach/ws?stream=1&stdout=1")),
    case("to a paused one", create(), start(), post("/containers/{c}/pause"), hijack(_BOTH)),
    case("to nothing", hijack("/containers/nothing/attach?stream=1&stdout=1")),
    case("with bad detach keys", create(), hijack(f"{_BOTH}&detachKeys=nonsense-keys")),
    case(
        "detach keys on stdin",
        create("cat", OpenStdin=True, Tty=True),
        start(),
        hijack(f"{_ALL}&detachKeys=ctrl-a", as_="raw", begin="a"),
        Finish("a", b"\x01"),
        get("/containers/{c}/json"),
    ),
    case(
        "stdin of one without",
        create("sh", "-c", "cat; echo end"),
        hijack(_ALL, begin="a"),
        start(),
        Finish("a", b"lost\n"),
    ),
)
