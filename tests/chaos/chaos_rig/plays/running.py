"""Containers that run and end while something dies."""

from pathlib import Path

from chaos_rig.client import PORT
from chaos_rig.scene import LIFE, Scene

_CGROUPS = Path("/sys/fs/cgroup")


def start(scene: Scene) -> None:
    """Below a cgroup of the user's, which goes with it."""
    body: dict[str, object] = {
        "Image": "busybox",
        "Cmd": ["sh", "-c", "exit 7"],
        "ExposedPorts": {PORT: {}},
        "MacAddress": "02:42:ac:11:00:99",  # so that its sandbox is made now, and not taken from those that are ready
        "HostConfig": {"NetworkMode": "bridge", "PublishAllPorts": True, "CgroupParent": f"/{scene.name}/below"},
    }
    container = scene.client.make(scene.name, body)
    scene.crash(lambda: scene.client.start(container))
    assert scene.client.wait(container) == 7
    assert scene.client.state(container)["ExitCode"] == 7
    scene.client.remove(container)
    assert scene.told(container, "destroy") == LIFE
    assert [*_CGROUPS.glob(scene.name), *_CGROUPS.glob(f"*/{scene.name}")] == []


def hand_over(scene: Scene) -> None:
    """Metadata dies over events that the agent has handed over: it is handed them again."""
    before = scene.suite.processes()
    start(scene)
    after = scene.suite.processes()
    assert after.pop("metadata") != before.pop("metadata")
    assert after == before


def stop(scene: Scene) -> None:
    container = scene.running()
    assert scene.ask_once("POST", f"/containers/{container}/stop?t=20").status == 204
    assert scene.client.wait(container) == 9
    told = scene.told(container, "die")
    assert told == ["create", "start", "kill", "stop", "die"], told
    scene.gone(container)


def kill_hard(scene: Scene) -> None:
    container = scene.running()
    assert scene.ask_once("POST", f"/containers/{container}/kill").status == 204
    assert scene.client.wait(container) == 137
    told = scene.told(container, "die")
    assert told == ["create", "start", "kill", "die"], told
    scene.gone(container)


def remove_hard(scene: Scene) -> None:
    container = scene.running()
    assert scene.ask_once("DELETE", f"/containers/{container}?force=1").status == 204
    told = scene.told(container, "destroy")
    assert told == ["create", "start", "kill", "die", "destroy"], told


def kill(scene: Scene) -> None:
    """The signal is counted by the container."""
    script = "trap 'n=$((n+1))' USR1; trap 'exit $n' TERM; n=0; while :; do sleep 0.05; done"
    container = scene.running(script)
    scene.crash(lambda: scene.post(f"/containers/{container}/kill?signal=USR1"))
    assert scene.client.told(scene.since, container) == ["create", "start", "kill"]
    scene.post(f"/containers/{container}/stop")
    assert scene.client.wait(container) in (0, 1)  # told before it is sent: at most once
    scene.gone(container)


def restart(scene: Scene) -> None:
    container = scene.running()
    pid = scene.client.state(container)["Pid"]
    scene.crash(lambda: scene.post(f"/containers/{container}/restart?t=20"))
    state = scene.client.state(container)
    assert state["Running"] and state["Pid"] != pid
    told = scene.told(container, "restart")
    assert sorted(told) == sorted(["create", "start", "kill", "die", "stop", "start", "restart"]), told
    scene.gone(container)


def pause(scene: Scene) -> None:
    container = scene.running()
    scene.crash(lambda: scene.post(f"/containers/{container}/pause"))
    assert scene.client.state(container)["Paused"]
    scene.post(f"/containers/{container}/unpause")
    assert scene.told(container, "unpause") == ["create", "start", "pause", "unpause"]
    scene.post(f"/containers/{container}/stop?t=20")
    assert scene.client.wait(container) == 9
    scene.gone(container)


def unpause(scene: Scene) -> None:
    container = scene.running()
    scene.post(f"/containers/{container}/pause")
    scene.crash(lambda: scene.post(f"/containers/{container}/unpause"))
    assert scene.client.state(container)["Status"] == "running"
    assert scene.told(container, "unpause") == ["create", "start", "pause", "unpause"]
    scene.post(f"/containers/{container}/stop?t=20")
    assert scene.client.wait(container) == 9
    scene.gone(container)


def rename(scene: Scene) -> None:
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


def update(scene: Scene) -> None:
    container = scene.running(Memory=64 << 20)
    body = {"Memory": 96 << 20, "MemorySwap": 192 << 20}
    scene.crash(lambda: scene.post(f"/containers/{container}/update", body))
    assert scene.client.inspect(container)["HostConfig"]["Memory"] == 96 << 20
    assert scene.told(container, "update") == ["create", "start", "update"]
    scene.gone(container)


def remove(scene: Scene) -> None:
    container = scene.client.create(scene.name, "exit 7", Binds=["/v", "/w"])
    scene.client.start(container)
    assert scene.client.wait(container) == 7
    scene.crash(lambda: scene.client.remove(container))
    assert scene.client.steadily("GET", f"/containers/{container}/json").status == 404
    assert scene.told(container, "destroy") == LIFE
    assert scene.volumes == []
    again = scene.client.create(scene.name, "exit 0")
    scene.client.remove(again)
