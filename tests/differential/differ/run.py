"""Carries a scenario out on one engine and writes down what could be seen of it."""

import base64
import contextlib
import io
import itertools
import json
import re
import tarfile
from collections.abc import Iterable, Mapping
from typing import Any, Final

from e2e_rig.api import each_frame, frames
from e2e_rig.dockerd import Dockerd
from e2e_rig.engine import Engine
from e2e_rig.waits import eventually

from differ.normal import SHORT_ID, Normal
from differ.steps import Case, Finish, Request, Step, Until, UntilLogged
from differ.wire import Exchange

_HEADERS: Final = ("content-type", "cache-control", "upgrade", "location")
_ENGINE_HEADERS: Final = ("docker-experimental", "ostype", "api-version")
_STAT_HEADER: Final = "x-docker-container-path-stat"
_MARK: Final = "/images/marker:1/tag?repo=marker&tag=1"
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_PASSING: Final = ("Downloading", "Download complete", "Extracting", "Pushing", "Verifying Checksum", "Waiting")
_SWAPPED: Final = (("die", "stop"), ("unpause", "kill"))


def observe(engine: Engine, case: Case) -> dict[str, Any]:
    """Run it; what each step gave, by "<n> METHOD /path", and the events, all normalised."""
    run, images = _Run(engine), engine.api.images()
    events = Exchange(str(engine.socket), "GET", "/v1.45/events", None, {}, timeout=20)
    try:
        seen = {f"{number} {_label(step)}": run.take(step) for number, step in enumerate(case.steps, 1)}
    finally:
        run.clean_up()
    raw = run.events(events)
    engine.api.remove_images(images)
    if isinstance(engine, Dockerd):
        raw = without_echo(raw)
    run.normal.learn(run.kept)
    observed = {label: run.normal.value(answer) for label, answer in seen.items() if answer is not None}
    if case.events != "none":
        observed["events"] = _listed([run.normal.value(event) for event in raw], case.events)
    return observed


def _label(step: Step) -> str:
    match step:
        case Request():
            return f"{step.method} {step.path}"
        case Finish():
            return f"rest of {step.label}"
        case _:
            return "wait"


def _listed(events: list[dict[str, Any]], how: str) -> dict[str, Any]:
    """The order of events, and what each says."""
    events = _in_order(events)
    kinds = [_kind(event) for event in events]
    if how == "distinct":
        return {"kinds": sorted(set(kinds))}
    nth = [kinds[: n + 1].count(kind) for n, kind in enumerate(kinds)]
    return {"order": kinds, "said": {f"{kind} #{n}": event for kind, n, event in zip(kinds, nth, events, strict=True)}}


def without_echo(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """dockerd tells of a pause and its end once more where containerd's word of the pause comes after the end."""
    kept: list[dict[str, Any]] = []
    for event in events:
        kept.append(event)
        if [_pausing(one) for one in kept[-4:]] == [_pausing(event, how) for how in ("pause", "unpause") * 2]:
            del kept[-2:]
    return kept


def _pausing(event: dict[str, Any], action: str = "") -> tuple[str, str]:
    return action or event["Action"], event["Actor"]["ID"]


def _in_order(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """dockerd tells of these pairs from two threads, now in this order and now in that; Seaway always in one."""
    events = list(events)
    for place, (one, next_) in enumerate(itertools.pairwise(events)):
        if (one["Action"], next_["Action"]) in _SWAPPED and one["Actor"]["ID"] == next_["Actor"]["ID"]:
            events[place : place + 2] = next_, one
    return [one for _, run in itertools.groupby(events, _network_action) for one in _by_network(run)]


def _network_action(event: dict[str, Any]) -> str:
    return event["Action"] if event["Type"] == "network" and event["Action"] in ("connect", "disconnect") else ""


def _by_network(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """dockerd walks through a map of a container's networks."""
    found = list(events)
    return sorted(found, key=_kind) if _network_action(found[0]) else found


def _kind(event: dict[str, Any]) -> str:
    who = event["Actor"]["Attributes"].get("name", "") if event["Type"] == "network" else event["Actor"]["ID"]
    return f"{event['Type']} {event['Action']} {who}".strip()


class _Run:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.normal = Normal(str(engine.run.parent))
        self.kept = {"engine": str(engine.run.parent)}
        self._begun: dict[str, tuple[Request, Exchange]] = {}
        self._made: list[str] = []
        self._networks: list[str] = []
        self._built = False

    # --- steps

    def take(self, step: Step) -> Any:
        match step:
            case Request():
                return self._request(step)
            case Finish():
                request, exchange = self._begun.pop(step.label)
                _write(exchange, step.send, close=step.close)
                return {"body": _body(request.as_, exchange)}
            case Until():
                self._until(step)
            case UntilLogged():
                self._until_logged(step)
        return None

    def _request(self, step: Request) -> dict[str, Any]:
        exchange = self._send(step)
        head: dict[str, Any] = {"status": exchange.status, "headers": _headers(exchange)}
        if step.begin:
            self._begun[step.begin] = (step, exchange)
            return head
        _write(exchange, step.send, close=True)
        body = _body(step.as_ if exchange.status < 400 else "auto", exchange)
        if exchange.status < 400:
            self._keep(step, body)
        if step.at:
            body = _at(body, step.at)
        return head if step.as_ == "none" else head | {"body": body}

    def _send(self, step: Request) -> Exchange:
        body, headers = self._fill(step.body), dict(step.headers)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        path = self._fill(step.path)
        self._built = self._built or path.startswith("/build?")
        target = path if step.path.startswith("/v1") or "_ping" in path else f"/v1.45{path}"
        return Exchange(str(self._engine.socket), step.method, target, body, headers)

    def _keep(self, step: Request, body: Any) -> None:
        for name, place in step.keep.items():
            value = _at(body, place)
            if value is None:
                raise AssertionError(f"no {place} in the answer to {step.method} {step.path}: {body}")
            self.kept[name] = str(value)
            if "/containers/create" in step.path:
                self._made.append(self.kept[name])
            elif step.path == "/networks/create":
                self._networks.insert(0, self.kept[name])

    def _fill(self, value: Any) -> Any:
        """Put in what was kept."""
        if isinstance(value, str):
            return re.sub(r"\{(\w+)\}", lambda found: self.kept.get(found[1], found[0]), value)
        if isinstance(value, dict):
            return {self._fill(key): self._fill(inner) for key, inner in value.items()}
        return [self._fill(inner) for inner in value] if isinstance(value, list) else value

    # --- conditions

    def _until(self, step: Until) -> None:
        path = self._fill(step.path)

        def there() -> bool:
            found = _at(self._engine.api.get(path), step.place)
            return bool(found) if step.value is None else found == step.value

        eventually(there, f"{step.place} = {step.value}", 15)

    def _until_logged(self, step: UntilLogged) -> None:
        path = f"/containers/{self._fill(step.container)}/logs?stdout=1&stderr=1"

        def there() -> bool:
            return step.text.encode() in self._engine.api.request("GET", path).body

        eventually(there, f"{step.text!r} in the log", 15)

    # --- the end

    def clean_up(self) -> None:
        """Remove what it made, in that order, all volumes, and what builds leave."""
        for _, exchange in self._begun.values():
            exchange.close()
        for container in self._made:
            reply = self._engine.api.request("DELETE", f"/containers/{container}?force=1&v=1")
            assert reply.status in (204, 404), reply
        for identifier in self._networks:
            reply = self._engine.api.request("DELETE", f"/networks/{identifier}")
            assert reply.status in (204, 404), reply
        self._engine.api.remove_volumes()
        if self._built:  # dockerd keeps the container of a step that failed
            self._engine.api.remove_all()
            self._engine.api.remove_build_cache()

    def events(self, stream: Exchange) -> list[dict[str, Any]]:
        """The scenario's events: until the end of each container, and the marker's."""
        reply = self._engine.api.request("POST", _MARK)
        assert reply.status == 201, reply
        seen, missing = [], {*self._made, "marker"}
        while missing:
            event = json.loads(stream.line())
            if event["Type"] == "image":
                missing.discard("marker")
                continue
            if event["Action"] == "destroy":
                if event["Type"] == "container" and event["Actor"]["ID"] not in self._made:
                    continue  # of a create that failed: dockerd tells of it, now in time and now too late
                missing.discard(event["Actor"]["ID"])
            seen.append(event)
        stream.close()
        return seen


def _write(exchange: Exchange, data: bytes | None, *, close: bool) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the answer says why the engine has hung up
        if data is not None:
            exchange.send(data)
            if close:
                exchange.end_input()


def _headers(exchange: Exchange) -> dict[str, Any]:
    found: dict[str, Any] = {name: exchange.headers[name] for name in _HEADERS if name in exchange.headers}
    if exchange.status // 100 == 2:
        found |= {name: name in exchange.headers for name in _ENGINE_HEADERS}
    if _STAT_HEADER in exchange.headers:
        found[_STAT_HEADER] = json.loads(base64.b64decode(exchange.headers[_STAT_HEADER]))
    return found


def _body(as_: str, exchange: Exchange) -> Any:
    if as_ == "shape":
        return _shape(json.loads(exchange.rest()))
    if as_ == "websocket":
        return exchange.messages().decode(errors="replace")
    data = exchange.rest()
    match as_:
        case "unordered":
            return sorted(json.loads(data), key=repr)
        case "frames":
            return {str(stream): text.decode(errors="replace") for stream, text in sorted(frames(data).items())}
        case "each frame":
            return [f"{stream} {text.decode(errors='replace')}" for stream, text in each_frame(data)]
        case "raw":
            return data.decode(errors="replace")
        case "lines":
            return [json.loads(line) for line in data.splitlines()]
        case "tar":
            return _tar(data)
        case "progress":
            return _progress([json.loads(line) for line in data.splitlines()])
        case "build":
            return [_said(line) for line in data.decode(errors="replace").split("\r\n")]
    kind = exchange.headers.get("content-type", "")
    return json.loads(data) if data and kind.startswith("application/json") else data.decode(errors="replace")


def _progress(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """A pull or push: what is said of the whole, and the steps of each layer; names and turns of layers are chance."""
    layers: dict[str, list[str]] = {}
    whole = []
    for line in lines:
        if "id" not in line or "progressDetail" not in line:
            whole.append(json.loads(_DIGEST.sub("<digest>", json.dumps(line))))
        elif line["status"] not in _PASSING:
            layers.setdefault(line["id"], []).append(line["status"])
    return {"whole": whole, "layers": list(layers.values())}


def _said(line: str) -> str:
    """A line of a build without ids; its fields in their order, however its letters are written."""
    plain = json.dumps(json.loads(line), ensure_ascii=False) if line else ""
    return SHORT_ID.sub("<short id>", _DIGEST.sub("<digest>", plain))


def _shape(value: Any) -> Any:
    """The fields and their types, where the values can't be equal; of a list the first entry."""
    if isinstance(value, dict):
        return {key: _shape(inner) for key, inner in value.items()}
    return [_shape(inner) for inner in value[:1]] if isinstance(value, list) else type(value).__name__


def _tar(data: bytes) -> dict[str, Any]:
    """An archive's entries: kind, mode, owner, link, content."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = {}
        for entry in archive:
            file = archive.extractfile(entry) if entry.isreg() else None
            text = file.read().decode(errors="replace") if file and entry.size < 4096 else str(entry.size)
            found[entry.name] = [entry.type.decode(), oct(entry.mode), entry.uid, entry.gid, entry.linkname, text]
        return found


def _at(value: Any, place: str) -> Any:
    for key in place.split("."):
        if isinstance(value, list):
            value = value[int(key)] if int(key) < len(value) else None
        else:
            value = value.get(key) if isinstance(value, Mapping) else None
    return value
