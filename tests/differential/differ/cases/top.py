"""GET /containers/{id}/top."""

from typing import Final

from differ.steps import Case, UntilLogged, case, create, get, post, start, until

_UP: Final = (create("sh", "-c", "echo up; read x", OpenStdin=True), start(), UntilLogged("up"))
_PID: Final = get("/containers/{c}/json", keep={"pid": "State.Pid"}, as_="none")

CASES: Final[tuple[Case, ...]] = (
    case("chosen columns", *_UP, _PID, get("/containers/{c}/top?ps_args=-o%20pid,comm,args")),
    case("without a pid column", create(), start(), get("/containers/{c}/top?ps_args=-o%20comm")),
    case("bad arguments", create(), start(), get("/containers/{c}/top?ps_args=--nonsense")),
    case("created", create(), get("/containers/{c}/top")),
    case("exited", create("true"), start(), until("exited"), get("/containers/{c}/top")),
    case(
        "paused",
        create(),
        start(),
        _PID,
        post("/containers/{c}/pause"),
        get("/containers/{c}/top?ps_args=-o%20pid,comm"),
    ),
    case("nothing", get("/containers/nothing/top")),
)
