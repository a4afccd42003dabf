"""What a scenario is made of: requests, and conditions to wait for. Data only; `run.py` carries it out.

`{name}` in paths and in texts of bodies stands for what an earlier step has kept under that name; `{engine}` is a
directory of the engine's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Request:
    """One call whose answer is compared.

    `keep` gives names to values of the answer, by their path in its JSON ("Id", "State.Pid"). `as_` is how the body is
    read. `begin` sends it, reads the head of the answer and goes on; a later `Finish` of that label reads the rest.
    `send` goes to a hijacked connection, whose input is then closed. `at` is the path in the body's JSON of the part
    that is compared, where not all of it is.
    """

    method: str
    path: str
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    keep: Mapping[str, str] = field(default_factory=dict)
    as_: Literal[
        "auto", "frames", "each frame", "raw", "lines", "tar", "unordered", "shape", "websocket", "progress", "none"
    ] = "auto"
    at: str = ""
    begin: str = ""
    send: bytes | None = None


@dataclass(frozen=True)
class Finish:
    """The rest of the answer to a request that was begun. `send` is written before; then the input ends, if `close`."""

    label: str
    send: bytes | None = None
    close: bool = True


@dataclass(frozen=True)
class Until:
    """Wait until the inspection of a container (or `path`) has this value at this place, or any if none is given."""

    place: str
    value: object = None
    path: str = "/containers/{c}/json"


@dataclass(frozen=True)
class UntilLogged:
    """Wait until the container's log holds this text."""

    text: str
    container: str = "{c}"


Step = Request | Finish | Until | UntilLogged


@dataclass(frozen=True)
class Case:
    """One scenario. `events` says how its events are compared: all in order, each kind once, or not at all."""

    name: str
    steps: tuple[Step, ...]
    events: Literal["order", "distinct", "none"] = "order"


def case(name: str, *steps: Step, events: Literal["order", "distinct", "none"] = "order") -> Case:
    """A scenario."""
    return Case(name, steps, events)


def get(path: str, **more: Any) -> Request:
    """GET."""
    return Request("GET", path, **more)


def post(path: str, body: object = None, **more: Any) -> Request:
    """POST, with a body as JSON if there is one."""
    return Request("POST", path, body, **more)


def delete(path: str) -> Request:
    """DELETE."""
    return Request("DELETE", path)


def create(
    *command: str, host: Mapping[str, object] | None = None, name: str = "", keep: str = "c", **config: object
) -> Request:
    """POST /containers/create of busybox, without a network where nothing else is said: that is the fastest."""
    body: dict[str, object] = {"Image": "busybox", "Cmd": list(command) or ["sleep", "60"]} | config
    body["HostConfig"] = {"NetworkMode": "none"} | dict(host or {})
    query = f"?name={name}" if name else ""
    return Request("POST", f"/containers/create{query}", body, keep={keep: "Id"})


def network(name: str, body: Mapping[str, object], keep: str = "n") -> Request:
    """POST /networks/create."""
    return post("/networks/create", {"Name": name} | dict(body), keep={keep: "Id"})


def start(container: str = "c") -> Request:
    """POST start."""
    return post(f"/containers/{{{container}}}/start")


def trapping(signal: str, code: int, **config: Any) -> tuple[Step, ...]:
    """A running container that ends with `code` upon that signal, and is ready for it."""
    script = f"trap 'exit {code}' {signal}; echo up; while :; do sleep 0.02; done"
    return create("sh", "-c", script, **config), start(), UntilLogged("up")


def inspect(container: str = "c") -> Request:
    """GET json."""
    return get(f"/containers/{{{container}}}/json")


def until(status: str, container: str = "c") -> Until:
    """Wait until the container has this status."""
    return Until("State.Status", status, f"/containers/{{{container}}}/json")


def hijack(path: str, body: object = None, **more: Any) -> Request:
    """POST with an upgrade; the frames are compared by stream."""
    headers = {"Connection": "Upgrade", "Upgrade": "tcp"}
    return Request("POST", path, body, headers=headers, **({"as_": "frames"} | more))


def websocket(path: str, **more: Any) -> Request:
    """GET with an upgrade to a websocket; its messages are compared, joined."""
    key = {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "c2FtcGxlLW5vbmNlLTEyMw==", "Origin": "http://localhost"}
    return Request(
        "GET", path, headers={"Connection": "Upgrade", "Upgrade": "websocket"} | key, as_="websocket", **more
    )


def message(data: bytes) -> bytes:
    """A client's websocket frame, with a mask of zeros."""
    return bytes([0x82, 0x80 | len(data), 0, 0, 0, 0]) + data


def bodies(name: str, *given: Mapping[str, Any]) -> tuple[Case, ...]:
    """One scenario per create body: busybox and no network, where nothing else is said."""
    return tuple(
        case(f"{name} {number}", post("/containers/create", _whole(body), keep={"c": "Id"}))
        for number, body in enumerate(given, 1)
    )


def _whole(body: Mapping[str, Any]) -> dict[str, Any]:
    host = body.get("HostConfig", {})
    if isinstance(host, dict):
        host = {"NetworkMode": "none"} | host
    return {"Image": "busybox", "Cmd": ["true"]} | dict(body) | {"HostConfig": host}


def hosts(name: str, *given: Mapping[str, Any]) -> tuple[Case, ...]:
    """The same for bodies of which only the HostConfig is told."""
    return bodies(name, *({"HostConfig": host} for host in given))
