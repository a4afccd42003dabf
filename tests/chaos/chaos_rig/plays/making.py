"""Containers that are made, or not, while something dies."""

import os
import time

from e2e_rig import images
from e2e_rig.waits import eventually

from chaos_rig.scene import LIFE, Scene
from seaway_kit.failpoints import Failpoint

_LAPSES_S = 40.0


def create(scene: Scene) -> None:
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


def fill(scene: Scene) -> None:
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
    assert [sorted(os.listdir(volume)) for volume in scene.volumes] == [["_data", "volume.json"]] * 2
    scene.lives_and_dies(made[0])


def take_over(scene: Scene) -> None:
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


def take_over_by_rename(scene: Scene) -> None:
    """The same, by a container that is there already."""
    container, names = scene.running(), [scene.name]

    def again() -> None:
        limit = time.monotonic() + _LAPSES_S
        while scene.suite.is_armed(scene.point):
            assert time.monotonic() < limit
            names.append(f"{scene.name}-{len(names)}")
            scene.client.remove(scene.client.create(names[-1], "exit 0"))
            scene.post(f"/containers/{container}/rename?name={names[-1]}")

    scene.crash(again)
    assert scene.client.inspect(names[-1])["Id"] == container
    assert scene.client.inspect(container)["Name"] == f"/{names[-1]}"
    told = scene.told(container, "rename")
    assert told == ["create", "start", *["rename"] * (len(names) - 1)], told
    scene.client.remove(container)
    for name in names:
        scene.client.remove(scene.client.create(name, "exit 0"))


def register(scene: Scene) -> None:
    """A name is reserved for what the API did not live to have made: nobody sees it, and it lapses soon."""
    body = {"Image": "busybox", "Cmd": ["true"]}
    path = f"/containers/create?name={scene.name}"
    scene.crash(lambda: scene.client.broken_off("POST", path, body))
    assert scene.client.steadily("GET", "/containers/json?all=1").json() == []
    assert scene.client.steadily("POST", path, body).status == 409
    scene.lives_and_dies(scene.client.create(f"{scene.name}-other", "exit 7"))
    eventually(lambda: scene.client.steadily("POST", path, body).status == 201, "the name", _LAPSES_S)


def forget(scene: Scene) -> None:
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


def unpack(scene: Scene) -> None:
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
