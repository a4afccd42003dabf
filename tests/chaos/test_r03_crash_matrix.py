"""R3: killed after every durable step, what was asked for has wholly happened, or not at all and can be repeated."""

import shutil
import time
from collections.abc import Callable
from typing import Any

import pytest
from chaos_rig.client import Client
from chaos_rig.figures import Figures
from chaos_rig.suite import ChaosSuite
from e2e_rig.registry import Registry
from e2e_rig.waits import eventually

from seaway_kit.failpoints import Failpoint

pytestmark = pytest.mark.root
_LIFE = ["create", "start", "die", "destroy"]


class Scene:
    """One crash: its suite and client, and when it began."""

    def __init__(self, suite: ChaosSuite, client: Client, registry: Registry, point: Failpoint) -> None:
        self.suite, self.client, self.registry, self.point = suite, client, registry, point
        self.name = "c-" + point.replace(".", "-")
        self.since = time.time()

    def crash(self, act: Callable[[], None]) -> None:
        """Do something during which the failpoint kills a process, and wait until the suite is whole again."""
        self.suite.arm(self.point)
        act()
        eventually(lambda: not self.suite.is_armed(self.point), f"{self.point} to be passed")
        self.suite.whole()

    def lives_and_dies(self, container: str, told: list[str]) -> None:
        """The container is what was asked for, to its end; `told` is what its events must be."""
        self.client.start(container)
        assert self.client.wait(container) == 7
        self.client.remove(container)
        eventually(lambda: len(self.client.told(self.since, container)) >= len(told), "all events")
        assert self.client.told(self.since, container) == told


def _create(scene: Scene) -> None:
    made: list[str] = []
    scene.crash(lambda: made.append(scene.client.create(scene.name, "exit 7", Binds=["/home"])))
    (container,) = made
    rows = scene.client.steadily("GET", "/containers/json?all=1").json()
    assert [row["Id"] for row in rows] == [container]
    scene.lives_and_dies(container, _LIFE)


def _start(scene: Scene) -> None:
    container = scene.client.create(scene.name, "exit 7")
    scene.crash(lambda: scene.client.start(container))
    assert scene.client.wait(container) == 7
    scene.client.remove(container)
    eventually(lambda: "destroy" in scene.client.told(scene.since, container), "its destroy event")
    assert scene.client.told(scene.since, container) == _LIFE


def _die(scene: Scene) -> None:
    container = scene.client.create(scene.name, "exit 7")
    scene.crash(lambda: scene.client.start(container))
    assert scene.client.wait(container) == 7
    assert scene.client.state(container)["ExitCode"] == 7
    scene.client.remove(container)
    eventually(lambda: "destroy" in scene.client.told(scene.since, container), "its destroy event")
    assert scene.client.told(scene.since, container) == _LIFE


def _stop(scene: Scene) -> None:
    container = scene.client.create(scene.name, "trap 'exit 9' TERM; while :; do sleep 0.05; done")
    scene.client.start(container)

    def stop() -> None:
        reply = scene.client.steadily("POST", f"/containers/{container}/stop?t=20")
        assert reply.status in (204, 304), reply

    scene.crash(stop)
    assert scene.client.wait(container) == 9
    told = [action for action in scene.client.told(scene.since, container) if action != "kill"]
    assert [action for action in told if action != "stop"] == ["create", "start", "die"]
    scene.client.remove(container)


def _running(scene: Scene, **host: object) -> str:
    container = scene.client.create(scene.name, "trap 'exit 7' TERM; while :; do sleep 0.05; done", **host)
    scene.client.start(container)
    return container


def _ends(scene: Scene, container: str, lives: int = 1) -> None:
    """It takes a signal, so it isn't frozen; each of its lives has had one start and one end."""
    scene.client.steadily("POST", f"/containers/{container}/stop?t=20")
    assert scene.client.wait(container) == 7
    told = scene.client.told(scene.since, container)
    assert (told.count("create"), told.count("start"), told.count("die")) == (1, lives, lives), told
    scene.client.remove(container)


def _paused(scene: Scene, container: str) -> bool:
    return bool(scene.client.state(container)["Paused"])


def _pause(scene: Scene) -> None:
    container = _running(scene)
    scene.crash(lambda: _post_unless(scene, container, "pause", lambda: _paused(scene, container)))
    assert _paused(scene, container)
    _post_unless(scene, container, "unpause", lambda: not _paused(scene, container))
    _ends(scene, container)


def _unpause(scene: Scene) -> None:
    container = _running(scene)
    scene.client.steadily("POST", f"/containers/{container}/pause")
    scene.crash(lambda: _post_unless(scene, container, "unpause", lambda: not _paused(scene, container)))
    assert not _paused(scene, container)
    told = scene.client.told(scene.since, container)
    assert (told.count("pause"), told.count("unpause")) == (1, 1), told
    _ends(scene, container)


def _post_unless(scene: Scene, container: str, what: str, done: Callable[[], bool]) -> None:
    reply = scene.client.unless(done, "POST", f"/containers/{container}/{what}")
    assert reply is None or reply.status == 204, reply


def _kill(scene: Scene) -> None:
    container = _running(scene)

    def dead() -> bool:
        return not scene.client.state(container)["Running"]

    scene.crash(lambda: _post_unless(scene, container, "kill", dead))
    assert scene.client.wait(container) == 137
    told = scene.client.told(scene.since, container)
    assert (told.count("start"), told.count("die")) == (1, 1), told
    scene.client.remove(container)


def _restart(scene: Scene) -> None:
    container = _running(scene)
    scene.crash(lambda: _post_unless(scene, container, "restart", lambda: False))
    assert scene.client.state(container)["Running"]
    told = scene.client.told(scene.since, container)
    assert told.count("start") == told.count("die") + 1, told
    _ends(scene, container, lives=told.count("start"))


def _rename(scene: Scene) -> None:
    container = scene.client.create(scene.name, "exit 7")

    def renamed() -> bool:
        return bool(scene.client.inspect(container)["Name"] == f"/{scene.name}-2")

    scene.crash(lambda: _post_unless(scene, container, f"rename?name={scene.name}-2", renamed))
    assert renamed()
    told = scene.client.told(scene.since, container)
    assert told == ["create", "rename"]
    again = scene.client.create(scene.name, "exit 0")  # the old name is free
    scene.client.remove(again)
    scene.client.remove(container)


def _update(scene: Scene) -> None:
    container = _running(scene, Memory=64 << 20, MemorySwap=128 << 20)
    body = {"Memory": 96 << 20, "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}}
    scene.crash(lambda: scene.client.steadily("POST", f"/containers/{container}/update", body))
    host = scene.client.inspect(container)["HostConfig"]
    assert (host["Memory"], host["RestartPolicy"]) == (body["Memory"], body["RestartPolicy"])
    _ends(scene, container)


def _commit(scene: Scene) -> None:
    container = _running(scene)
    path = f"/commit?container={container}&repo={scene.name}"
    made: list[str] = []
    scene.crash(lambda: made.append(scene.client.steadily("POST", path, {}).json()["Id"]))
    assert not _paused(scene, container)
    assert scene.client.steadily("GET", f"/images/{scene.name}/json").json()["Id"] == made[0]
    told = scene.client.told(scene.since, container)
    assert told.count("pause") == told.count("unpause"), told
    _ends(scene, container)
    scene.client.steadily("DELETE", f"/images/{scene.name}?force=1")


def _exec(scene: Scene) -> None:
    marks = scene.suite.root.parent / scene.name
    marks.mkdir()
    container = scene.client.create(scene.name, "while :; do sleep 0.05; done", Binds=[f"{marks}:/marks"])
    scene.client.start(container)
    made: list[str] = []

    def run() -> None:
        body = {"Cmd": ["sh", "-c", "echo >> /marks/ran; exit 3"]}
        made.append(scene.client.steadily("POST", f"/containers/{container}/exec", body).json()["Id"])
        scene.client.steadily("POST", f"/exec/{made[-1]}/start", {"Detach": True})

    scene.crash(run)
    row = eventually(lambda: _ended(scene, made[-1]), "the end of the exec")
    ran = len((marks / "ran").read_text()) if (marks / "ran").exists() else 0
    assert (ran, row["ExitCode"]) == (1, 3) or (ran == 0 and row["ExitCode"] != 0), (ran, row)
    run()
    assert eventually(lambda: _ended(scene, made[-1]), "the end of the second exec")["ExitCode"] == 3
    told = [action.partition(":")[0] for action in scene.client.told(scene.since, container)]
    assert told.count("exec_die") == ran + 1, told  # one that could not be run has no end that is told of
    assert told.count("exec_start") == 2 <= told.count("exec_create"), told
    scene.client.remove(container)
    shutil.rmtree(marks)


def _ended(scene: Scene, identifier: str) -> dict[str, Any]:
    """What is known of an exec that has ended; nothing before."""
    row = dict(scene.client.steadily("GET", f"/exec/{identifier}/json").json())
    return {} if row["Running"] or row["ExitCode"] is None else row


def _remove(scene: Scene) -> None:
    container = scene.client.create(scene.name, "exit 7", Binds=["/v"])
    scene.client.start(container)
    assert scene.client.wait(container) == 7
    scene.crash(lambda: scene.client.remove(container))
    assert scene.client.steadily("GET", f"/containers/{container}/json").status == 404
    eventually(lambda: "destroy" in scene.client.told(scene.since, container), "its destroy event")
    assert scene.client.told(scene.since, container) == _LIFE
    again = scene.client.create(scene.name, "exit 0")
    scene.client.remove(again)


def _pull(scene: Scene) -> None:
    image = f"{scene.registry.address}/lib/busybox:1"
    source, _, tag = image.rpartition(":")
    scene.client.steadily("DELETE", f"/images/{image}?force=1")
    path = f"/images/create?fromImage={source}&tag={tag}"
    scene.crash(lambda: scene.client.broken_off("POST", path))
    done = scene.client.steadily("POST", path)
    assert b'"error"' not in done.body, done
    assert image in scene.client.steadily("GET", f"/images/{image}/json").json()["RepoTags"]


_SCENES: dict[str, Callable[[Scene], None]] = {
    "create": _create,
    "register": _create,
    "start": _start,
    "die": _die,
    "stop": _stop,
    "pause": _pause,
    "unpause": _unpause,
    "kill": _kill,
    "restart": _restart,
    "rename": _rename,
    "update": _update,
    "commit": _commit,
    "remove": _remove,
    "pull": _pull,
    "outbox": _start,
    "exec": _exec,
}


@pytest.mark.parametrize("point", list(Failpoint))
def test_after_each_step(
    suite: ChaosSuite, client: Client, registry: Registry, figures: Figures, point: Failpoint
) -> None:
    _SCENES[point.partition(".")[0]](Scene(suite, client, registry, point))
    figures.show("R3", f"{point}: whole; the client tried again {len(client.refused)} times")
