"""POST restart, and restart policies."""

from typing import Final

from differ.steps import Case, Until, case, create, delete, get, inspect, post, start, trapping, until

CASES: Final[tuple[Case, ...]] = (
    case("running", create(), start(), post("/containers/{c}/restart?t=0"), inspect()),
    case("created", create(), post("/containers/{c}/restart?t=0"), inspect()),
    case(
        "exited", create("true"), start(), until("exited"), post("/containers/{c}/restart"), until("exited"), inspect()
    ),
    case("paused", create(), start(), post("/containers/{c}/pause"), post("/containers/{c}/restart?t=0"), inspect()),
    case("with a signal", *trapping("USR1", 4), post("/containers/{c}/restart?t=5&signal=USR1"), inspect()),
    case("with a bad time", create(), post("/containers/{c}/restart?t=x")),
    case("with a bad signal", create(), start(), post("/containers/{c}/restart?signal=NOTHING")),
    case("nothing", post("/containers/nothing/restart")),
    case("a missing program", create("nosuchprogram"), post("/containers/{c}/restart")),
    case(
        "in the network of one that was removed",
        create(keep="other"),
        start("other"),
        create(host={"NetworkMode": "container:{other}", "PidMode": "container:{other}"}),
        start(),
        delete("/containers/{other}?force=1"),
        post("/containers/{c}/restart?t=0"),
        post("/containers/{c}/start"),
        get("/containers/{c}/json", at="State.ExitCode"),
        events="none",  # Docker's threads tell of the two ends in any order
    ),
    case(
        "on failure, twice",
        create("sh", "-c", "exit 3", host={"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}}),
        start(),
        Until("RestartCount", 2),
        until("exited"),
        inspect(),
    ),
    case(
        "on failure, without one",
        create("true", host={"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}}),
        start(),
        until("exited"),
        inspect(),
    ),
    case(
        "always, then stopped",
        create(host={"RestartPolicy": {"Name": "always"}}),
        start(),
        post("/containers/{c}/stop?t=0"),
        inspect(),
    ),
    case(
        "always, then killed",
        create(host={"RestartPolicy": {"Name": "always"}}),
        start(),
        post("/containers/{c}/kill"),
        Until("State.Status", "exited"),
        inspect(),
    ),
    case(
        "unless stopped, ends by itself",
        create(
            "sh", "-c", "[ -e /f ] && sleep 60; touch /f; exit 5", host={"RestartPolicy": {"Name": "unless-stopped"}}
        ),
        start(),
        Until("RestartCount", 1),
        until("running"),
        inspect(),
        delete("/containers/{c}"),
    ),
    case(
        "always with a missing program",
        create("nosuchprogram", host={"RestartPolicy": {"Name": "always"}}),
        start(),
        inspect(),
    ),
)
