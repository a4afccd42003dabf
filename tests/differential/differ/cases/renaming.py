"""POST /containers/{id}/rename."""

from typing import Final

from differ.steps import Case, case, create, get, inspect, post, start

CASES: Final[tuple[Case, ...]] = (
    case(
        "created",
        create(name="old"),
        post("/containers/{c}/rename?name=new"),
        inspect(),
        get("/containers/old/json"),
        get("/containers/new/json"),
        get("/containers/json?all=1"),
    ),
    case(
        "running on the bridge",
        create(name="old", host={"NetworkMode": "bridge"}),
        start(),
        post("/containers/old/rename?name=new"),
        inspect(),
    ),
    case(
        "to a name that is taken", create(name="a1"), create(name="b1", keep="d"), post("/containers/a1/rename?name=b1")
    ),
    case("to its own name", create(name="same"), post("/containers/same/rename?name=same")),
    case("to a bad name", create(name="good"), post("/containers/good/rename?name=b%20d")),
    case("to no name", create(name="good"), post("/containers/good/rename?name="), post("/containers/good/rename")),
    case("with a slash", create(name="good"), post("/containers/good/rename?name=/better"), inspect()),
    case(
        "and the old name is free",
        create(name="old"),
        post("/containers/{c}/rename?name=new"),
        create(name="old", keep="d"),
    ),
    case("nothing", post("/containers/nothing/rename?name=x1")),
)
