"""The Engine API without a client library: plain requests, and bytes as they are."""

import http.client
import json
import socket
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from e2e_rig.waits import eventually


@dataclass(frozen=True)
class Reply:
    """One whole reply; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """Docker's error sentence."""
        return str(self.json()["message"])


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = connect(self._path, self.timeout or 30.0)


def connect(path: str, timeout: float = 30.0) -> socket.socket:
    """A connection to a unix socket."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(timeout)
    client.connect(path)
    return client


class Api:
    """An engine behind a unix socket."""

    def __init__(self, socket_path: str) -> None:
        self.path = socket_path

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float = 60.0,
    ) -> Reply:
        """One request on a connection of its own; `body` is sent as JSON unless it is bytes."""
        sent = dict(headers or {})
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if data is not None and not isinstance(body, bytes):
            sent.setdefault("Content-Type", "application/json")
        connection = _UnixConnection(self.path, timeout)
        try:
            connection.request(method, path, data, sent)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, found, response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """A good reply's JSON."""
        reply = self.request("GET", path)
        assert reply.status == 200, reply
        return reply.json()

    def raw(self, data: bytes, timeout: float = 10.0) -> bytes:
        """Send bytes as they are; everything that comes back until the server closes or is silent for `timeout` s."""
        with connect(self.path, timeout) as client:
            with_error = b""
            try:
                client.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused before all was sent: the reply is still to be read
            try:
                while piece := client.recv(65536):
                    with_error += piece
            except (TimeoutError, ConnectionResetError):
                pass
            return with_error

    def containers(self) -> list[str]:
        """The ids of all containers, running or not."""
        return [row["Id"] for row in self.get("/containers/json?all=1")]

    def remove_all(self) -> None:
        """Remove every container and its anonymous volumes, running or not."""
        for container in self.containers():
            reply = self.request("DELETE", f"/containers/{container}?force=1&v=1")
            assert reply.status in (204, 404), reply

    def remove_networks(self) -> None:
        """Remove every network of users, those that give others their configuration last. No container runs."""
        for network in sorted(self.get("/networks?" + filters(type="custom")), key=lambda one: bool(one["ConfigOnly"])):
            reply = self.request("DELETE", f"/networks/{network['Id']}")
            assert reply.status in (204, 404), reply

    def remove_volumes(self) -> None:
        """Remove every volume, in the order of their names. No container is left."""
        for volume in sorted(one["Name"] for one in self.get("/volumes")["Volumes"] or ()):
            reply = self.request("DELETE", f"/volumes/{volume}")
            assert reply.status in (204, 404), reply

    def images(self) -> frozenset[str]:
        """The ids, tags and digests of all images."""
        listed = self.get("/images/json?all=1")
        return frozenset(name for one in listed for name in (one["Id"], *_names(one)))

    def remove_images(self, kept: Collection[str]) -> None:
        """Remove every image and name that is not among `kept`. No container is left."""
        for new in sorted(self.images() - frozenset(kept), key=lambda name: name.startswith("sha256:")):
            reply = self.request("DELETE", f"/images/{new}?force=1")
            assert reply.status in (200, 404, 409), reply  # 409: a parent, which goes with its last child

    def remove_build_cache(self) -> None:
        """Remove all that builds have left. None runs, but one that has just failed may still be cleaning up."""

        def is_gone() -> bool:
            self.request("POST", "/build/prune?all=1")
            return not self.get("/system/df?type=build-cache")["BuildCache"]

        eventually(is_gone, "an empty build cache")


def _names(image: Mapping[str, Any]) -> list[str]:
    return [name for key in ("RepoTags", "RepoDigests") for name in image[key] or () if "<none>" not in name]


def filters(**wanted: str | list[str]) -> str:
    """The `filters` query parameter for these terms."""
    terms = {name: [term] if isinstance(term, str) else term for name, term in wanted.items()}
    return "filters=" + quote(json.dumps(terms))


def frames(data: bytes) -> dict[int, bytes]:
    """What a multiplexed stream holds, by stream number (1 stdout, 2 stderr)."""
    found: dict[int, bytes] = {}
    for stream, text in each_frame(data):
        found[stream] = found.get(stream, b"") + text
    return found


def each_frame(data: bytes) -> list[tuple[int, bytes]]:
    """The frames of a multiplexed stream, each with its stream's number."""
    found = []
    while data:
        size = int.from_bytes(data[4:8], "big")
        found.append((data[0], data[8 : 8 + size]))
        data = data[8 + size :]
    return found


class EventStream:
    """`GET /events`, read line by line."""

    def __init__(self, api: Api, query: str = "") -> None:
        self._connection = _UnixConnection(api.path, 30.0)
        self._connection.request("GET", f"/events?{query}")
        self._response = self._connection.getresponse()
        assert self._response.status == 200, self._response.read()
        self.headers = {name.lower(): value for name, value in self._response.getheaders()}

    def __enter__(self) -> "EventStream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while line := self._response.readline():
            yield json.loads(line)

    def until(self, action: str, container: str = "") -> list[dict[str, Any]]:
        """All events up to the first one with this action (of this container)."""
        seen = []
        for event in self:
            seen.append(event)
            if event["Action"] == action and container in ("", event["Actor"]["ID"]):
                return seen
        raise AssertionError(f"the stream ended before {action}: {seen}")

    def close(self) -> None:
        """Hang up."""
        if self._connection.sock is not None:  # a plain close would wait for the end of the stream
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._response.close()
        self._connection.close()
