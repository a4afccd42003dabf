"""Volumes that are made, used, mounted and removed while something dies."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

from e2e_rig.waits import eventually

from chaos_rig.scene import LIFE, Scene
from seaway_agent.kernel.mountinfo import targets_below

_TMPFS = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}


def create(scene: Scene) -> None:
    """One volume, which keeps what is written into it; a repeat finds it."""
    made: list[dict[str, Any]] = []
    scene.crash(lambda: made.append(_make(scene, Labels={"a": "b"})))
    assert _make(scene) == made[0] and made[0]["Labels"] == {"a": "b"}
    assert _names(scene) == [scene.name]
    _run(scene, "echo kept > /v/f")
    _run(scene, "grep kept /v/f")
    _is_removed(scene)


def first_use(scene: Scene) -> None:
    """A container of a name that is unknown so far: with it there is one volume, which stays when it goes."""
    made: list[str] = []
    scene.crash(lambda: made.append(scene.client.create(scene.name, "exit 7", Binds=[f"{scene.name}:/v"])))
    assert _names(scene) == [scene.name]
    refused = scene.client.steadily("DELETE", f"/volumes/{scene.name}")
    assert refused.status == 409 and made[0] in refused.message, refused
    scene.lives_and_dies(made[0])
    _is_removed(scene)


def remove(scene: Scene) -> None:
    """Wholly: the next one of that name is empty."""
    _make(scene)
    _run(scene, "echo old > /v/f")
    scene.crash(lambda: _remove(scene))
    assert _names(scene) == []
    eventually(lambda: _on_disk(scene) == [], "its data to be gone")
    _run(scene, "test ! -e /v/f")
    _is_removed(scene)


def prune(scene: Scene) -> None:
    """All that no container has, and nothing else."""
    used = scene.client.create(scene.name, "exit 7", Binds=[f"{scene.name}:/v"])
    for number in range(3):
        reply = scene.client.steadily("POST", "/volumes/create", {"Name": f"{scene.name}-{number}"})
        assert reply.status == 201, reply
    path = "/volumes/prune?filters=" + quote('{"all":["true"]}')
    scene.crash(lambda: scene.post(path))
    scene.post(path)
    eventually(lambda: _names(scene) == [scene.name], "all others to be gone")
    eventually(lambda: _on_disk(scene) == [scene.name], "their data to be gone")
    scene.lives_and_dies(used)
    _is_removed(scene)


def mounted(scene: Scene) -> None:
    """One with options is mounted while its container runs, and not after that."""
    _make(scene, DriverOpts=_TMPFS)
    container = scene.client.create(scene.name, "exit 7", Binds=[f"{scene.name}:/v"])
    scene.crash(lambda: scene.client.start(container))
    assert scene.client.wait(container) == 7
    eventually(lambda: _mounts(scene) == [], "its mount to be gone")
    scene.client.remove(container)
    assert scene.told(container, "destroy") == LIFE
    _is_removed(scene)


def image_mounted(scene: Scene) -> None:
    """An image is mounted in its container, and nowhere once that has ended."""
    mount = {"Type": "image", "Source": "busybox", "Target": "/i", "ImageOptions": {"Subpath": "bin"}}
    container = scene.client.create(scene.name, "test -x /i/sh && exit 7", Mounts=[mount])
    scene.crash(lambda: scene.client.start(container))
    assert scene.client.wait(container) == 7
    scene.client.remove(container)
    assert scene.told(container, "destroy") == LIFE


def _make(scene: Scene, **more: object) -> dict[str, Any]:
    reply = scene.client.steadily("POST", "/volumes/create", {"Name": scene.name, **more})
    assert reply.status == 201, reply
    return dict(reply.json())


def _names(scene: Scene) -> list[str]:
    """Of this scene: one that an earlier scene's lost create has made may be there for half a minute."""
    names = [row["Name"] for row in scene.client.steadily("GET", "/volumes").json()["Volumes"]]
    return [name for name in names if name.startswith(scene.name)]


def _on_disk(scene: Scene) -> list[str]:
    return [one.name for one in scene.volumes if one.name.startswith(scene.name)]


def _run(scene: Scene, script: str) -> None:
    """A container with the volume, which ends well."""
    container = scene.client.create(f"{scene.name}-user", script, Binds=[f"{scene.name}:/v"])
    scene.client.start(container)
    assert scene.client.wait(container) == 0, script
    scene.client.remove(container)


def _remove(scene: Scene) -> None:
    """It may be gone by an earlier try."""
    reply = scene.client.steadily("DELETE", f"/volumes/{scene.name}")
    assert reply.status in (204, 404), reply


def _is_removed(scene: Scene) -> None:
    _remove(scene)
    assert _names(scene) == []
    eventually(lambda: _on_disk(scene) == [], "its data to be gone")


def _mounts(scene: Scene) -> list[str]:
    place = scene.suite.root / "agent" / scene.suite.node / "volumes"
    return targets_below(Path("/proc/self/mountinfo").read_text(), str(place))
