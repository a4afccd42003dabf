"""What a node outside a swarm says."""

from typing import Final

from differ.steps import Case, case, delete, get, post

_NOUNS: Final = ("nodes", "services", "tasks", "secrets", "configs")
_WRITTEN: Final = ("services", "secrets", "configs")
_JSON: Final = {"Content-Type": "application/json"}
_UPDATED: Final = ("nodes", *_WRITTEN)

CASES: Final[tuple[Case, ...]] = (
    case("the swarm", get("/swarm"), get("/swarm/unlockkey"), post("/swarm/unlock", {})),
    case(
        "init and join",
        *(post(f"/swarm/{how}", body, headers=_JSON) for how in ("init", "join") for body in (b"{", b"{}")),
        post("/swarm/init"),
    ),
    case("leave", post("/swarm/leave"), post("/swarm/leave?force=1")),
    case("update", post("/swarm/update?version=1", {}), post("/swarm/update", {}), post("/swarm/update?version=x", {})),
    case("update with a wrong rotation", post("/swarm/update?version=1&rotateWorkerToken=x", {})),
    *(case(f"list {noun}", get(f"/{noun}"), get(f"/{noun}?filters=x")) for noun in _NOUNS),
    *(case(f"one of {noun}", get(f"/{noun}/x"), delete(f"/{noun}/x")) for noun in _NOUNS),
    *(case(f"create {noun}", post(f"/{noun}/create", {}), post(f"/{noun}/create", b"{")) for noun in _WRITTEN),
    *(
        case(f"update {noun}", post(f"/{noun}/x/update?version=1", {}), post(f"/{noun}/x/update", {}))
        for noun in _UPDATED
    ),
    case("services with a status", get("/services?status=x"), get("/services/x?insertDefaults=x")),
    case("logs", get("/services/x/logs?stdout=1"), get("/tasks/x/logs?stderr=1")),
    case("logs of no stream", get("/services/x/logs"), get("/tasks/x/logs")),
)
