"""Pushes to the suite's registry while the image service dies."""

import subprocess

from e2e_rig import images
from e2e_rig.waits import eventually

from chaos_rig.plays import logins
from chaos_rig.plays.users import User
from chaos_rig.scene import Scene


def push(scene: Scene) -> None:
    """A plain retry works; the name is told once, in the name of who pushed, and no upload is left."""
    login, place = logins.added(scene), scene.suite.root.parent / scene.name
    place.mkdir(exist_ok=True)
    archive = place / "image.tar"
    archive.write_bytes(images.archive([images.busybox_layer()], {"Cmd": ["echo", scene.name]}, ["pushed:1"]))

    def once() -> subprocess.CompletedProcess[str]:
        return login.push(f"docker-archive:{archive}", f"{scene.name}:1", place)

    scene.crash(once)
    done = once()
    assert done.returncode == 0, done.stderr
    assert f"{scene.name}:1" in scene.client.steadily("GET", f"/images/{scene.name}:1/json").json()["RepoTags"]
    wanted = {"type": "image", "event": "tag"}
    eventually(lambda: scene.client.history(scene.since, **wanted), "its event")
    (event,) = scene.client.history(scene.since, **wanted)
    assert event["Actor"]["Attributes"]["name"] == f"{scene.name}:1"
    assert not list((scene.suite.root / "image" / "tmp").iterdir())
    assert scene.client.steadily("DELETE", f"/images/{scene.name}:1?force=1").status == 200
    assert User(scene).ask("rm").returncode == 0
