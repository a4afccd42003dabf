"""Health checks. Probes repeat, so events are compared once each."""

from typing import Any, Final

from differ.steps import Case, Until, case, create, get, post, start, until

_MS: Final = 1_000_000


def _check(*test: str, **more: Any) -> dict[str, Any]:
    return {"Test": list(test), "Interval": 100 * _MS, "Timeout": 2000 * _MS, "Retries": 1} | more


_HEALTH: Final = "State.Health.Status"

CASES: Final[tuple[Case, ...]] = (
    case(
        "healthy",
        create(Healthcheck=_check("CMD", "true")),
        start(),
        Until(_HEALTH, "healthy"),
        get("/containers/json", as_="none"),
        events="distinct",
    ),
    case(
        "healthy by a shell",
        create(Healthcheck=_check("CMD-SHELL", "exit 0")),
        start(),
        Until(_HEALTH, "healthy"),
        events="distinct",
    ),
    case(
        "unhealthy",
        create(Healthcheck=_check("CMD-SHELL", "echo why; exit 1")),
        start(),
        Until(_HEALTH, "unhealthy"),
        events="distinct",
    ),
    case(
        "a missing program",
        create(Healthcheck=_check("CMD", "nosuchprogram")),
        start(),
        Until(_HEALTH, "unhealthy"),
        events="distinct",
    ),
    case(
        "at the start",
        create(Healthcheck=_check("CMD", "true", Interval=60_000 * _MS)),
        start(),
        get("/containers/{c}/json"),
    ),
    case(
        "by a shell of the container's own",
        create(
            Healthcheck=_check("CMD-SHELL", "said", Interval=60_000 * _MS, StartInterval=100 * _MS, StartPeriod=10**9),
            Shell=["/bin/echo", "-n"],
        ),
        start(),
        Until(_HEALTH, "healthy"),
        get("/containers/{c}/json", at="State.Health.Log.0.Output"),
        events="none",
    ),
    case(
        "by the image's shell",
        create(
            Image="shelled:1",
            Healthcheck=_check("CMD-SHELL", "said", Interval=60_000 * _MS, StartInterval=100 * _MS, StartPeriod=10**9),
        ),
        start(),
        Until("State.Health.Log.0.End"),
        get("/containers/{c}/json", at="State.Health.Log.0"),
        get("/containers/{c}/json", at="Config.Shell"),
        events="none",
    ),
    case("none", create(Healthcheck={"Test": ["NONE"]}), start(), get("/containers/{c}/json")),
    case("of the image", create(Image="healthy:1"), start(), Until(_HEALTH, "healthy"), events="distinct"),
    case(
        "the image's, switched off",
        create(Image="healthy:1", Healthcheck={"Test": ["NONE"]}),
        start(),
        get("/containers/{c}/json"),
    ),
    case(
        "after the end",
        create("sh", "-c", "read x", Healthcheck=_check("CMD", "true")),
        start(),
        until("exited"),
        get("/containers/{c}/json"),
        events="none",
    ),
    case(
        "stopped",
        create(Healthcheck=_check("CMD", "true")),
        start(),
        Until(_HEALTH, "healthy"),
        post("/containers/{c}/stop?t=0"),
        get("/containers/{c}/json", as_="none"),
        events="none",
    ),
)
