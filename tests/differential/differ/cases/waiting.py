"""POST /containers/{id}/wait."""

from typing import Final

from differ.steps import Case, Finish, case, create, delete, post, start, until

_W: Final = "/containers/{c}/wait"

CASES: Final[tuple[Case, ...]] = (
    case("after the end", create("sh", "-c", "exit 9"), start(), until("exited"), post(_W)),
    case(
        "begun before the start, next exit",
        create("sh", "-c", "exit 9"),
        post(f"{_W}?condition=next-exit", begin="w"),
        start(),
        Finish("w"),
    ),
    case("not running, of a created one", create(), post(f"{_W}?condition=not-running")),
    case("without a condition, of a created one", create(), post(_W)),
    case("while it runs", create(), start(), post(_W, begin="w"), post("/containers/{c}/kill"), Finish("w")),
    case("for a removal", create(), post(f"{_W}?condition=removed", begin="w"), delete("/containers/{c}"), Finish("w")),
    case(
        "for a removal by force",
        create(),
        start(),
        post(f"{_W}?condition=removed", begin="w"),
        delete("/containers/{c}?force=1"),
        Finish("w"),
    ),
    case(
        "for the next exit, then removed",
        create(),
        post(f"{_W}?condition=next-exit", begin="w"),
        delete("/containers/{c}"),
        Finish("w"),
    ),
    case(
        "for the next exit while it stops",
        create(),
        start(),
        post(f"{_W}?condition=next-exit", begin="w"),
        post("/containers/{c}/stop?t=0"),
        Finish("w"),
    ),
    case("for a start that fails", create("nosuchprogram"), post(f"{_W}?condition=not-running"), start()),
    case("after a start that failed", create("nosuchprogram"), start(), post(_W)),
    case(
        "for the removal after a start that failed",
        create("nosuchprogram"),
        start(),
        post(f"{_W}?condition=removed", begin="w"),
        delete("/containers/{c}"),
        Finish("w"),
    ),
    *(
        case(
            f"{condition}, of one that removes itself as it can't be started",
            create("nosuchprogram", host={"AutoRemove": True}),
            post(f"{_W}?condition={condition}", begin="w"),
            start(),
            Finish("w"),
        )
        for condition in ("removed", "next-exit")
    ),
    case("with a bad condition", create(), post(f"{_W}?condition=nonsense")),
    case("with an empty condition", create("true"), start(), until("exited"), post(f"{_W}?condition=")),
    case("of nothing", post("/containers/nothing/wait")),
    case("in an old version", create("true"), start(), until("exited"), post("/v1.29/containers/{c}/wait")),
)
