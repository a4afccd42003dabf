"""A user who does one thing after another, at random, and knows after each what must hold."""

import io
import json
import random
import tarfile
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from e2e_rig.api import Api, Reply, filters, frames
from e2e_rig.waits import eventually

_LOOP: Final = ["sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done"]
_TAR: Final = {"Content-Type": "application/x-tar"}
_MOST: Final = 3


class RandomUser:
    """`name` begins the names of all that this user makes. `repository` is that of an image to be pulled.

    Of several `apis` of one engine each request goes to any.
    """

    def __init__(self, apis: Sequence[Api], name: str, repository: str, seed: int) -> None:
        self._apis = apis
        self._name = name
        self._repository = repository
        self._random = random.Random(f"{seed} {name}")
        self._made = 0
        self._states: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        self._deeds: tuple[tuple[Callable[[str], None], tuple[str, ...]], ...] = (
            (self._start, ("created", "exited")),
            (self._start, ("created", "exited")),
            (self._stop, ("running",)),
            (self._kill, ("running",)),
            (self._restart, ("created", "running", "exited")),
            (self._pause, ("running",)),
            (self._unpause, ("paused",)),
            (self._remove, ("created", "running", "exited", "paused")),
            (self._rename, ("created", "running", "exited", "paused")),
            (self._exec, ("running",)),
            (self._exec_detached, ("running",)),
            (self._exec_nothing, ("running",)),
            (self._copy, ("created", "running", "exited", "paused")),
            (self._read_logs, ("running", "exited", "paused")),
            (self._look, ("running",)),
            (self._update, ("running", "exited")),
            (self._commit, ("running", "exited", "paused")),
            (self._read_events, ("created", "running", "exited", "paused")),
        )
        self._others: tuple[Callable[[], None], ...] = (self._pull, self._save, self._use_volume, self._run, self._list)

    def step(self) -> str:
        """Do something; its name. Raises AssertionError where the answer isn't as it must be."""
        if len(self._states) < _MOST:
            self._create()
            return "create"
        deed = self._random.choice((*self._deeds, *self._others))
        if not isinstance(deed, tuple):
            deed()
            return deed.__name__
        do, states = deed
        fit = [name for name, state in self._states.items() if state in states]
        if fit:
            do(self._random.choice(fit))
        return do.__name__

    def leave(self) -> None:
        """Remove what is still there."""
        for name in [*self._states]:
            self._remove(name)

    # --- words

    def _api(self) -> Api:
        return self._random.choice(self._apis)

    def _ask(self, method: str, path: str, body: Any = None, *, status: int = 200, headers: Any = None) -> Reply:
        reply = self._api().request(method, path, body, headers)
        assert reply.status == status, f"{method} {path}: {reply.status} {reply.body[:300]!r}"
        return reply

    def _new_name(self) -> str:
        self._made += 1
        return f"{self._name}-{self._made}"

    def _now(self, name: str, state: str) -> None:
        self._states[name] = state
        found = self._ask("GET", f"/containers/{name}/json").json()["State"]["Status"]
        assert found == state, f"{name} is {found}, must be {state}"

    # --- containers

    def _create(self) -> None:
        name = self._new_name()
        host = {"NetworkMode": self._random.choice(("none", "bridge"))}
        body = {"Image": "busybox", "Cmd": _LOOP, "HostConfig": host}
        self._ids[name] = self._ask("POST", f"/containers/create?name={name}", body, status=201).json()["Id"]
        self._now(name, "created")

    def _start(self, name: str) -> None:
        self._change(name, "start", "running")

    def _stop(self, name: str) -> None:
        self._change(name, "stop?t=1", "exited")

    def _restart(self, name: str) -> None:
        self._change(name, "restart?t=1", "running")

    def _pause(self, name: str) -> None:
        self._change(name, "pause", "paused")

    def _unpause(self, name: str) -> None:
        self._change(name, "unpause", "running")

    def _change(self, name: str, what: str, state: str) -> None:
        self._ask("POST", f"/containers/{name}/{what}", status=204)
        self._now(name, state)

    def _kill(self, name: str) -> None:
        self._ask("POST", f"/containers/{name}/kill", status=204)
        assert self._ask("POST", f"/containers/{name}/wait").json()["StatusCode"] == 137
        self._now(name, "exited")

    def _remove(self, name: str) -> None:
        self._ask("DELETE", f"/containers/{name}?force=1&v=1", status=204)
        del self._states[name], self._ids[name]
        self._ask("GET", f"/containers/{name}/json", status=404)

    def _rename(self, name: str) -> None:
        new = self._new_name()
        self._ask("POST", f"/containers/{name}/rename?name={new}", status=204)
        self._ids[new] = self._ids.pop(name)
        self._now(new, self._states.pop(name))
        self._ask("GET", f"/containers/{name}/json", status=404)

    def _update(self, name: str) -> None:
        memory = self._random.choice((64, 128, 256)) << 20
        self._ask("POST", f"/containers/{name}/update", {"Memory": memory, "MemorySwap": 2 * memory})
        assert self._ask("GET", f"/containers/{name}/json").json()["HostConfig"]["Memory"] == memory

    # --- inside

    def _exec(self, name: str) -> None:
        code = self._random.randrange(1, 100)
        made = self._new_exec(name, "sh", "-c", f"echo said {code}; exit {code}")
        body = self._ask("POST", f"/exec/{made}/start", {"Detach": False}).body
        assert frames(body) == {1: f"said {code}\n".encode()}, body
        self._ended(made, code)

    def _exec_detached(self, name: str) -> None:
        made = self._new_exec(name, "true")
        self._ask("POST", f"/exec/{made}/start", {"Detach": True})
        eventually(lambda: not self._ask("GET", f"/exec/{made}/json").json()["Running"], "the end of an exec")
        self._ended(made, 0)

    def _exec_nothing(self, name: str) -> None:
        made = self._new_exec(name, "/nothing")
        self._api().request("POST", f"/exec/{made}/start", {"Detach": False})
        self._ended(made, 126)

    def _new_exec(self, name: str, *args: str) -> str:
        body = {"Cmd": args, "AttachStdout": True}
        return str(self._ask("POST", f"/containers/{name}/exec", body, status=201).json()["Id"])

    def _ended(self, made: str, code: int) -> None:
        found = self._ask("GET", f"/exec/{made}/json").json()
        assert (found["Running"], found["ExitCode"]) == (False, code), found

    def _copy(self, name: str) -> None:
        data = self._random.randbytes(self._random.choice((0, 10, 100_000)))
        self._ask("PUT", f"/containers/{name}/archive?path=/tmp", _archive("file", data), headers=_TAR)
        assert _only(self._ask("GET", f"/containers/{name}/archive?path=/tmp/file").body) == data
        self._ask("GET", f"/containers/{name}/archive?path=/nothing", status=404)

    def _read_logs(self, name: str) -> None:
        said = frames(self._ask("GET", f"/containers/{name}/logs?stdout=1").body)
        assert said.get(1, b"").replace(b"ready\n", b"") == b"", said

    def _look(self, name: str) -> None:
        assert self._ask("GET", f"/containers/{name}/stats?stream=0&one-shot=1").json()["id"] == self._ids[name]
        assert self._ask("GET", f"/containers/{name}/top").json()["Processes"]
        self._ask("GET", f"/containers/{name}/changes")

    # --- images, volumes, and what tells of many

    def _commit(self, name: str) -> None:
        one, other = f"{self._new_name()}:1", f"{self._new_name()}:2"
        repository, tag = one.split(":")
        self._ask("POST", f"/commit?container={name}&repo={repository}&tag={tag}", {}, status=201)
        self._now(name, self._states[name])
        repository, tag = other.split(":")
        self._ask("POST", f"/images/{one}/tag?repo={repository}&tag={tag}", status=201)
        for image in (one, other):
            self._ask("DELETE", f"/images/{image}")
            self._ask("GET", f"/images/{image}/json", status=404)

    def _pull(self) -> None:
        body = self._ask("POST", f"/images/create?fromImage={self._repository}&tag=1").body
        assert b"Status: " in body, body
        self._ask("POST", f"/images/create?fromImage={self._repository}&tag=nothing", status=404)

    def _save(self) -> None:
        saved = self._ask("GET", "/images/busybox/get").body
        body = self._ask("POST", "/images/load?quiet=1", saved, headers=_TAR).body
        assert b"Loaded image: " in body and b"error" not in body, body

    def _use_volume(self) -> None:
        host = {"NetworkMode": "none", "Binds": [f"{self._new_name()}:/v"]}
        body = {"Image": "busybox", "Cmd": ["sh", "-c", "echo here > /v/file; exit 3"], "HostConfig": host}
        made = self._ask("POST", "/containers/create", body, status=201).json()["Id"]
        self._ask("POST", f"/containers/{made}/start", status=204)
        assert self._ask("POST", f"/containers/{made}/wait").json()["StatusCode"] == 3
        assert _only(self._ask("GET", f"/containers/{made}/archive?path=/v/file").body) == b"here\n"
        self._ask("DELETE", f"/containers/{made}?v=1", status=204)

    def _run(self) -> None:
        """As `docker run --rm`, without its client's wait."""
        body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none", "AutoRemove": True}}
        made = self._ask("POST", "/containers/create", body, status=201).json()["Id"]
        self._ask("POST", f"/containers/{made}/start", status=204)
        gone = f"/containers/{made}/json"
        eventually(lambda: self._api().request("GET", gone).status == 404, "the end of a container that removes itself")

    def _list(self) -> None:
        mine = filters(name=f"^/{self._name}-")
        found = {row["Names"][0][1:]: row["State"] for row in self._ask("GET", f"/containers/json?all=1&{mine}").json()}
        assert found == self._states

    def _read_events(self, name: str) -> None:
        until = f"{time.time():.9f}"
        body = self._ask("GET", f"/events?since=1&until={until}&{filters(container=self._ids[name])}").body
        actions = [json.loads(line)["Action"] for line in body.splitlines()]
        assert actions[0] == "create" and actions.count("start") - actions.count("die") == self._lives(name), actions

    def _lives(self, name: str) -> int:
        return int(self._states[name] in ("running", "paused"))


def _archive(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def _only(data: bytes) -> bytes:
    """The content of an archive's only file."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        (entry,) = archive
        file = archive.extractfile(entry)
        assert file is not None
        return file.read()
