"""exec: create, start, inspect, resize."""

from typing import Any, Final

from differ.steps import Case, Finish, Request, Step, Until, case, create, get, hijack, post, start, until


def _exec(*command: str, keep: str = "x", **more: Any) -> Request:
    body = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(command)} | more
    return post("/containers/{c}/exec", body, keep={keep: "Id"})


def _run(body: dict[str, Any] | None = None, **more: Any) -> Step:
    return hijack("/exec/{x}/start", {"Detach": False, "Tty": False} | (body or {}), **more)


_UP: Final = (create(), start())
_LOOK: Final = get("/exec/{x}/json")
_DONE: Final = Until("Running", False, "/exec/{x}/json")

CASES: Final[tuple[Case, ...]] = (
    case(
        "output of both kinds", *_UP, _exec("sh", "-c", "echo out; echo err >&2; exit 3"), _LOOK, _run(), _DONE, _LOOK
    ),
    case(
        "without an upgrade",
        *_UP,
        _exec("echo", "x"),
        post("/exec/{x}/start", {"Detach": False, "Tty": False}, as_="frames"),
        _DONE,
    ),
    case("with input", *_UP, _exec("cat", AttachStdin=True), _run(begin="e"), Finish("e", b"around\n"), _DONE, _LOOK),
    case(
        "on a terminal",
        *_UP,
        _exec("sh", "-c", "stty size; tty", Tty=True),
        _run({"Tty": True, "ConsoleSize": [20, 70]}, as_="raw"),
        _DONE,
        _LOOK,
    ),
    case("detached", *_UP, _exec("true"), post("/exec/{x}/start", {"Detach": True}), _DONE, _LOOK),
    case(
        "environment, user, directory",
        *_UP,
        _exec("sh", "-c", "echo $A; id -un; pwd", Env=["A=b"], User="app", WorkingDir="/tmp"),
        _LOOK,
        _run(),
        _DONE,
    ),
    case("a missing program", *_UP, _exec("nosuchprogram"), _run(), _DONE, _LOOK),
    case(
        "a missing program, detached",
        *_UP,
        _exec("nosuchprogram"),
        post("/exec/{x}/start", {"Detach": True}),
        _DONE,
        _LOOK,
    ),
    case("a directory", *_UP, _exec("/etc"), _run(), _DONE, _LOOK),
    case("an unknown user", *_UP, _exec("true", User="nobodyknows"), _run(), _DONE, _LOOK),
    case("a missing directory", *_UP, _exec("pwd", WorkingDir="/no/such"), _run(), _DONE, _LOOK),
    case("a relative directory", *_UP, _exec("pwd", WorkingDir="no/such"), _run(), _DONE, _LOOK),
    case("privileged", *_UP, _exec("grep", "CapEff", "/proc/self/status", Privileged=True), _run(), _DONE, _LOOK),
    case("killed by a signal", *_UP, _exec("sh", "-c", "kill -9 $$"), _run(), _DONE, _LOOK),
    case("started twice", *_UP, _exec("true"), _run(), _DONE, _run()),
    case(
        "ids in inspect",
        *_UP,
        _exec("sleep", "60"),
        post("/exec/{x}/start", {"Detach": True}),
        get("/containers/{c}/json"),
        events="distinct",
    ),
    case(
        "the container ends",
        *_UP,
        _exec("sleep", "60"),
        _run(begin="e"),
        Until("Pid", path="/exec/{x}/json"),
        post("/containers/{c}/kill"),
        Finish("e"),
        until("exited"),
        _LOOK,
        events="distinct",  # dockerd tells of exec_die and kill from two threads
    ),
    case("started after the end", *_UP, _exec("true"), post("/containers/{c}/stop?t=0"), _run()),
    case("in a created one", create(), _exec("true")),
    case("in an exited one", create("true"), start(), until("exited"), _exec("true")),
    case("in a paused one", *_UP, post("/containers/{c}/pause"), _exec("true")),
    case(
        "in a paused one, by its name",
        create(name="paused-one"),
        start(),
        post("/containers/{c}/pause"),
        post("/containers/paused-one/exec", {"Cmd": ["true"]}),
    ),
    case("in nothing", post("/containers/nothing/exec", {"Cmd": ["true"]})),
    case("no command", *_UP, _exec()),
    case("no body", *_UP, post("/containers/{c}/exec")),
    case("a wrong type", *_UP, post("/containers/{c}/exec", {"Cmd": 5})),
    case("bad detach keys", *_UP, _exec("true", DetachKeys="nonsense-keys")),
    case("unknown", get("/exec/nothing/json"), post("/exec/nothing/start", {}), post("/exec/nothing/resize?h=1&w=1")),
    case(
        "resize to nonsense",
        *_UP,
        _exec("cat", Tty=True, AttachStdin=True),
        post("/exec/{x}/resize?h=a&w=b"),
        post("/exec/{x}/resize"),
    ),
    case(
        "resize while it runs",
        *_UP,
        _exec("sleep", "60", Tty=True),
        post("/exec/{x}/start", {"Detach": True, "Tty": True}),
        post("/exec/{x}/resize?h=20&w=70"),
        events="distinct",
    ),
    case(
        "resize, and what the program sees of it",
        *_UP,
        _exec("sh", "-c", 'until [ "$(stty size)" = "21 71" ]; do sleep 0.02; done', Tty=True),
        _run({"Tty": True}, as_="raw", begin="e"),
        Until("Running", True, "/exec/{x}/json"),
        post("/exec/{x}/resize?h=20&w=70"),
        post("/exec/{x}/resize?h=21&w=71"),
        _DONE,
        events="none",
    ),
    case("after the removal", *_UP, _exec("true"), Request("DELETE", "/containers/{c}?force=1"), _LOOK),
)
