"""POST /commit: what the new image has of the container, of the client's config and of its changes."""

from typing import Final
from urllib.parse import quote

from differ.steps import Case, Request, Step, case, create, delete, get, post, start, until

_MADE: Final = (
    create(
        "sh",
        "-c",
        "echo new > /new; rm /etc/data",
        Env=["A=1"],
        Labels={"of": "container"},
        ExposedPorts={"80/tcp": {}},
        Volumes={"/data": {}},
        WorkingDir="/tmp",
        User="app",
        StopSignal="SIGINT",
        Shell=["/bin/sh", "-ec"],
        OnBuild=["RUN true"],
        Healthcheck={"Test": ["CMD", "true"], "Interval": 10**10, "Retries": 2},
    ),
    start(),
    until("exited"),
)
_UNMADE: Final = Request("DELETE", "/images/{i}?force=1", as_="none")
_CONFIG: Final = get("/images/{i}/json", at="Config")


def _commit(query: str = "", body: object = None) -> Step:
    return Request("POST", f"/commit?container={{c}}{query}", body, keep={"i": "Id"})


def _changed(*changes: str) -> str:
    return "".join(f"&changes={quote(change)}" for change in changes)


def _case(name: str, *steps: Step) -> Case:
    return case(name, *_MADE, *steps, _UNMADE)


CASES: Final[tuple[Case, ...]] = (
    _case("without a body", _commit(), _CONFIG),
    _case("with an empty config", _commit(body={}), _CONFIG),
    _case("null", _commit(body=None), _CONFIG),
    _case(
        "with a config", _commit(body={"Cmd": ["date"], "Labels": {"of": "client"}, "StopSignal": "SIGHUP"}), _CONFIG
    ),
    _case("with a part of a health check", _commit(body={"Healthcheck": {"Retries": 9}}), _CONFIG),
    _case("with a shell", _commit(body={"Shell": ["/bin/ash"], "Entrypoint": ["x"]}), _CONFIG),
    _case("with changes", _commit(_changed("CMD date", "ENV B=2", "LABEL a=b", "STOPSIGNAL 9")), _CONFIG),
    _case(
        "author and comment",
        _commit("&author=me&comment=why"),
        get("/images/{i}/json", at="Author"),
        get("/images/{i}/json", at="Comment"),
    ),
    _case(
        "the history",
        _commit("&comment=why"),
        get("/images/{i}/history", at="0.CreatedBy"),
        get("/images/{i}/history", at="0.Comment"),
    ),
    case("of one that runs", create(), start(), _commit(), _UNMADE),
    case("of one that runs, without a pause", create(), start(), _commit("&pause=0"), _UNMADE),
    case("of a paused one", create(), start(), post("/containers/{c}/pause"), _commit(), _UNMADE),
    case(
        "a container of it",
        create("sh", "-c", "echo new > /new"),
        start(),
        until("exited"),
        _commit("&repo=committed&tag=1"),
        create("cat", "/new", Image="committed:1", keep="d"),
        start("d"),
        until("exited", "d"),
        get("/containers/{d}/logs?stdout=1&stderr=1", as_="frames"),
        delete("/containers/{d}"),
        _UNMADE,
    ),
    case("with a change that is none", create(), _commit(_changed("SHELL x"))),
)
