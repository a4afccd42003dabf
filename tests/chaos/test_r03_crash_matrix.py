"""R3: killed after every durable step, what was asked for has wholly happened, or not at all and can be repeated."""

import os
import shutil
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from chaos_rig.client import PORT, Client
from chaos_rig.figures import Figures
from chaos_rig.scene import LIFE, LOOP, REFUSED, Scene
from chaos_rig.suite import ChaosSuite
from e2e_rig import images
from e2e_rig.registry import Registry
from e2e_rig.waits import eventually

from seaway_kit.failpoints import Failpoint

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]
_LAPSES_S = 40.0


def _create(scene: Scene) -> None:
    """With an anonymous volume, which goes with it, and one that stays."""
    first = scene.point is Failpoint.PROJECT_HORIZON  # written first after a start
    if first:
        scene.suite.restarted("metadata", scene.suite.kill("metadata"))
    body: dict[str, object] = {
        "Image": "busybox",
        "Cmd": ["sh", "-c", "exit 7"],
        "Volumes": {"/home": {}},
        "HostConfig": {"NetworkMode": "none", "Binds": [f"{scene.name}:/named"]},
    }
    made: list[str] = []
    scene.crash(lambda: made.append(scene.client.make(scene.name, body)), at_once=first)
    (container,) = made
    rows = scene.client.steadily("GET", "/containers/json?all=1").json()
    assert [row["Id"] for row in rows] == [container]
    assert len(scene.volumes) == 2, scene.volumes
    scene.lives_and_dies(container)
    assert [path.name for path in scene.volumes] == [scene.name]


def _filled(scene: Scene) -> None:
    """A volume that was there, and empty, has all of the image's content."""

    def make(name: str, volume: str, target: str) -> str:
        body = {"Image": "busybox", "Cmd": ["sh", "-c", "exit 7"]}
        host = {"NetworkMode": "none", "Binds": [f"{volume}:{target}"]}
        return scene.client.make(name, {**body, "HostConfig": host})

    make(f"{scene.name}-before", scene.name, "/nothing")
    made: list[str] = []
    scene.crash(lambda: made.append(make(scene.name, scene.name, "/bin")))
    make(f"{scene.name}-other", f"{scene.name}-other", "/bin")
    held = {volume.name: sorted(os.listdir(volume / "_data")) for volume in scene.volumes}
    assert held[scene.name] == held[f"{scene.name}-other"] != []
    assert [os.listdir(volume) for volume in scene.volumes] == [["_data"]] * 2
    scene.lives_and_dies(made[0])


def _taken_over(scene: Scene) -> None:
    """The name of a container that has just gone, and stands in the bucket for a moment longer."""
    body = {"Image": "busybox", "Cmd": ["sh", "-c", "exit 7"], "HostConfig": {"NetworkMode": "none"}}
    made = [scene.client.make(scene.name, body)]

    def again() -> None:
        limit = time.monotonic() + _LAPSES_S
        while scene.suite.is_armed(scene.point):
            assert time.monotonic() < limit
            scene.client.remove(made.pop())
            made.append(scene.client.make(scene.name, body))

    scene.crash(again)
    assert [row["Id"] for row in scene.client.steadily("GET", "/containers/json?all=1").json()] == made
    assert scene.client.inspect(scene.name)["Id"] == made[0]
    scene.lives_and_dies(made[0])


def _registered(scene: Scene) -> None:
    """A name is reserved for what the API did not live to have made: nobody sees it, and it lapses soon."""
    body = {"Image": "busybox", "Cmd": ["true"]}
    path = f"/containers/create?name={scene.name}"
    scene.crash(lambda: scene.client.broken_off("POST", path, body))
    assert scene.client.steadily("GET", "/containers/json?all=1").json() == []
    assert scene.client.steadily("POST", path, body).status == 409
    scene.lives_and_dies(scene.client.create(f"{scene.name}-other", "exit 7"))
    eventually(lambda: scene.client.steadily("POST", path, body).status == 201, "the name", _LAPSES_S)


def _unpack(scene: Scene) -> None:
    """From an image whose layers this node has not seen."""
    layer = images.Layer()
    layer.file("unpacked", scene.name.encode())
    archive = images.archive([images.busybox_layer(), layer.bytes()], {}, [f"{scene.name}:1"])
    assert scene.suite.api.request("POST", "/images/load", archive, {"Content-Type": "application/x-tar"}).status == 200
    body: dict[str, object] = {"Image": f"{scene.name}:1", "Cmd": ["grep", "-q", scene.name, "/unpacked"]}
    made: list[str] = []
    scene.crash(lambda: made.append(scene.client.make(scene.name, body)))
    scene.client.start(made[0])
    assert scene.client.wait(made[0]) == 0
    scene.client.remove(made[0])
    assert scene.told(made[0], "destroy") == LIFE
    assert scene.client.steadily("DELETE", f"/images/{scene.name}:1").status == 200


def _start(scene: Scene) -> None:
    body: dict[str, object] = {
        "Image": "busybox",
        "Cmd": ["sh", "-c", "exit 7"],
        "ExposedPorts": {PORT: {}},
        "MacAddress": "02:42:ac:11:00:99",  # so that its sandbox is made now, and not taken from those that are ready
        "HostConfig": {"NetworkMode": "bridge", "PublishAllPorts": True},
    }
    container = scene.client.make(scene.name, body)
    scene.crash(lambda: scene.client.start(container))
    assert scene.client.wait(container) == 7
    assert scene.client.state(container)["ExitCode"] == 7
    scene.client.remove(container)
    assert scene.told(container, "destroy") == LIFE


def _stop(scene: Scene) -> None:
    container = scene.running()
    scene.crash(lambda: scene.post(f"/containers/{container}/stop?t=20"))
    assert scene.client.wait(container) == 9
    told = scene.told(container, "die")
    assert [word for word in told if word != "stop"] == ["create", "start", "kill", "die"], told
    assert told.count("stop") <= 1, told  # untold where the agent that was asked did not live to see the end
    scene.gone(container)


def _kill(scene: Scene) -> None:
    """The signal is counted by the container."""
    script = "trap 'n=$((n+1))' USR1; trap 'exit $n' TERM; n=0; while :; do sleep 0.05; done"
    container = scene.running(script)
    scene.crash(lambda: scene.post(f"/containers/{container}/kill?signal=USR1"))
    assert scene.client.told(scene.since, container) == ["create", "start", "kill"]
    scene.post(f"/containers/{container}/stop")
    assert scene.client.wait(container) in (0, 1)  # told before it is sent: at most once
    scene.gone(container)


def _restart(scene: Scene) -> None:
    container = scene.running()
    pid = scene.client.state(container)["Pid"]
    scene.crash(lambda: scene.post(f"/containers/{container}/restart?t=20"))
    state = scene.client.state(container)
    assert state["Running"] and state["Pid"] != pid
    told = scene.told(container, "restart")
    assert sorted(told) == sorted(["create", "start", "kill", "die", "stop", "start", "restart"]), told
    scene.gone(container)


def _pause(scene: Scene) -> None:
    container = scene.running()
    scene.crash(lambda: scene.post(f"/containers/{container}/pause"))
    assert scene.client.state(container)["Paused"]
    scene.post(f"/containers/{container}/unpause")
    assert scene.told(container, "unpause") == ["create", "start", "pause", "unpause"]
    scene.post(f"/containers/{container}/stop?t=20")
    assert scene.client.wait(container) == 9
    scene.gone(container)


def _unpause(scene: Scene) -> None:
    container = scene.running()
    scene.post(f"/containers/{container}/pause")
    scene.crash(lambda: scene.post(f"/containers/{container}/unpause"))
    assert scene.client.state(container)["Status"] == "running"
    assert scene.told(container, "unpause") == ["create", "start", "pause", "unpause"]
    scene.post(f"/containers/{container}/stop?t=20")
    assert scene.client.wait(container) == 9
    scene.gone(container)


def _rename(scene: Scene) -> None:
    """The old name is free, the new one is taken."""
    container = scene.running()
    new = f"{scene.name}-new"
    scene.crash(lambda: scene.post(f"/containers/{container}/rename?name={new}"))
    assert scene.client.inspect(container)["Name"] == f"/{new}"
    assert scene.client.inspect(new)["Id"] == container
    assert scene.told(container, "rename") == ["create", "start", "rename"]
    another = scene.client.create(scene.name, "exit 0")
    assert another != container
    scene.client.remove(another)
    scene.client.remove(container)


def _update(scene: Scene) -> None:
    container = scene.running(Memory=64 << 20)
    body = {"Memory": 96 << 20, "MemorySwap": 192 << 20}
    scene.crash(lambda: scene.post(f"/containers/{container}/update", body))
    assert scene.client.inspect(container)["HostConfig"]["Memory"] == 96 << 20
    assert scene.told(container, "update") == ["create", "start", "update"]
    scene.gone(container)


def _commit(scene: Scene) -> None:
    """A container that was paused for it goes on, and the image is whole."""
    container = scene.running("echo kept > /kept; " + LOOP)
    path = f"/commit?container={container}&repo={scene.name}&tag=1"
    scene.crash(lambda: scene.client.steadily("POST", path, {}))
    eventually(lambda: scene.client.state(container)["Status"] == "running", "the container to go on")
    assert scene.client.steadily("POST", path, {}).status == 201
    body: dict[str, object] = {"Image": f"{scene.name}:1", "Cmd": ["grep", "-q", "kept", "/kept"]}
    copy = scene.client.make(f"{scene.name}-copy", body)
    scene.client.start(copy)
    assert scene.client.wait(copy) == 0
    scene.client.remove(copy)
    scene.client.remove(container)
    assert scene.client.steadily("DELETE", f"/images/{scene.name}:1?force=1").status == 200
    scene.client.steadily("POST", "/images/prune")


def _exec(scene: Scene, *, attached: bool = False) -> None:
    """One with a client is in the keeper's hands, others have a shim."""
    marks = scene.suite.root.parent / scene.name
    marks.mkdir()
    container = scene.running(Binds=[f"{marks}:/marks"])
    made: list[str] = []

    def run() -> None:
        body = {"Cmd": ["sh", "-c", "echo >> /marks/ran; exit 3"], "AttachStdout": attached}
        made.append(scene.client.steadily("POST", f"/containers/{container}/exec", body).json()["Id"])
        ask = scene.client.broken_off if attached else scene.client.steadily
        ask("POST", f"/exec/{made[-1]}/start", {"Detach": not attached})

    scene.crash(run)
    row = eventually(lambda: _ended(scene, made[-1]), "the end of the exec")
    ran = len((marks / "ran").read_text()) if (marks / "ran").exists() else 0
    codes = (3, -1) if scene.point.startswith("keeper.") else (3,)  # its code went with the keeper, or did not
    assert (row["ExitCode"] in codes) if ran else (row["ExitCode"] != 0), (ran, row)
    assert ran <= 1
    run()
    assert eventually(lambda: _ended(scene, made[-1]), "the end of the second exec")["ExitCode"] == 3
    eventually(lambda: _actions(scene, container).count("exec_die") > ran, "the events of the second exec")
    told = _actions(scene, container)
    assert told.count("exec_die") == ran + 1, told  # one that could not be run has no end that is told of
    assert told.count("exec_start") == 2 <= told.count("exec_create"), told  # one may be made twice, if asked for again
    scene.client.remove(container)
    shutil.rmtree(marks)


def _actions(scene: Scene, container: str) -> list[str]:
    return [action.partition(":")[0] for action in scene.client.told(scene.since, container)]


def _ended(scene: Scene, identifier: str) -> dict[str, Any]:
    """What is known of an exec that has ended; nothing before."""
    row = dict(scene.client.steadily("GET", f"/exec/{identifier}/json").json())
    return {} if row["Running"] or row["ExitCode"] is None else row


def _remove(scene: Scene) -> None:
    container = scene.client.create(scene.name, "exit 7", Binds=["/v", "/w"])
    scene.client.start(container)
    assert scene.client.wait(container) == 7
    scene.crash(lambda: scene.client.remove(container))
    assert scene.client.steadily("GET", f"/containers/{container}/json").status == 404
    assert scene.told(container, "destroy") == LIFE
    assert scene.volumes == []
    again = scene.client.create(scene.name, "exit 0")
    scene.client.remove(again)


def _forget(scene: Scene) -> None:
    """What the node refuses leaves no record, and its name is free at once."""
    body = {
        "Image": "busybox",
        "Cmd": ["true"],
        "HostConfig": {"Mounts": [{"Type": "bind", "Source": "/is/not/there", "Target": "/x"}]},
    }
    replies = []
    scene.crash(lambda: replies.append(scene.client.steadily("POST", f"/containers/create?name={scene.name}", body)))
    assert replies[0].status == 400, replies
    reply = scene.suite.api.request("POST", f"/containers/create?name={scene.name}", {"Image": "busybox"})
    assert reply.status == 201, reply
    scene.client.remove(reply.json()["Id"])


def _pull(scene: Scene) -> None:
    """Each one that has given the image its name is told, once."""
    image = scene.image
    scene.client.steadily("DELETE", f"/images/{image}?force=1")
    scene.crash(lambda: _pull_once(scene))
    named = scene.client.steadily("GET", f"/images/{image}/json").status == 200
    source, _, tag = image.rpartition(":")
    done = scene.client.steadily("POST", f"/images/create?fromImage={source}&tag={tag}")
    assert b'"error"' not in done.body, done
    assert image in scene.client.steadily("GET", f"/images/{image}/json").json()["RepoTags"]
    wanted = {"type": "image", "event": "pull"}
    eventually(lambda: len(scene.client.history(scene.since, **wanted)) > named, "the events of both pulls")
    assert len(scene.client.history(scene.since, **wanted)) == named + 1


def _event_of_image(scene: Scene) -> None:
    """Told once, though its sender did not live to hear that the stream has it."""
    _told_once(scene, "image", lambda: _pull_once(scene), {"type": "image", "event": "pull"})


def _event_of_metadata(scene: Scene) -> None:
    """The same, for what is no single node's event."""
    prune = partial(scene.client.broken_off, "POST", "/containers/prune")
    _told_once(scene, "metadata", prune, {"type": "container", "event": "prune"})


def _told_once(scene: Scene, service: str, act: Callable[[], object], wanted: dict[str, str]) -> None:
    before = scene.suite.row(service)["pid"]
    scene.crash(act)
    scene.suite.restarted(service, before)
    act()
    eventually(lambda: len(scene.client.history(scene.since, **wanted)) >= 2, "both events")
    assert len(scene.client.history(scene.since, **wanted)) == 2


def _pull_once(scene: Scene) -> None:
    source, _, tag = scene.image.rpartition(":")
    scene.client.broken_off("POST", f"/images/create?fromImage={source}&tag={tag}")


_SCENES: dict[str, Callable[[Scene], None]] = {
    "create": _create,
    "place": _create,
    "register": _create,
    "project": _create,
    "unpack": _unpack,
    "forget": _forget,
    "network": _start,
    "start": _start,
    "teardown": _start,
    "die": _start,
    "stop": _stop,
    "kill": _kill,
    "restart": _restart,
    "pause": _pause,
    "unpause": _unpause,
    "rename": _rename,
    "update": _update,
    "commit": _commit,
    "remove": _remove,
    "pull": _pull,
    "outbox": _start,
    "exec": _exec,
    "keeper": partial(_exec, attached=True),
}
_PARTICULAR: dict[Failpoint, Callable[[Scene], None]] = {
    Failpoint.CREATE_REGISTERED: _registered,
    Failpoint.VOLUME_HALF_MOVED: _filled,
    Failpoint.VOLUME_MOVED: _filled,
    Failpoint.REGISTER_TAKEN_OVER: _taken_over,
    Failpoint.PROJECT_GONE: _remove,
}


@pytest.mark.parametrize("point", [point for point in Failpoint if point not in REFUSED])
def test_after_each_step(
    suite: ChaosSuite, client: Client, registry: Registry, figures: Figures, point: Failpoint
) -> None:
    Scene(suite, client, registry, point).play(_PARTICULAR.get(point) or _SCENES[point.partition(".")[0]])
    figures.show("R3", f"{point}: whole; the client tried again {len(client.refused)} times")


@pytest.mark.parametrize("point", [point for point in Failpoint if point.startswith("exec.") and point not in REFUSED])
def test_after_each_step_of_an_exec_with_a_client(
    suite: ChaosSuite, client: Client, registry: Registry, figures: Figures, point: Failpoint
) -> None:
    Scene(suite, client, registry, point).play(partial(_exec, attached=True))
    figures.show("R3", f"{point}, with a client: whole; it tried again {len(client.refused)} times")


@pytest.mark.parametrize("play", [_event_of_image, _event_of_metadata])
def test_after_an_event_of_a_service_without_containers_is_stored(
    suite: ChaosSuite, client: Client, registry: Registry, figures: Figures, play: Callable[[Scene], None]
) -> None:
    Scene(suite, client, registry, Failpoint.EVENT_STORED).play(play)
    figures.show("R3", f"{Failpoint.EVENT_STORED}, {play.__name__.strip('_').replace('_', ' ')}: told once")
