"""Builds while something dies: a plain retry works, and nothing is left."""

from e2e_rig.waits import eventually

from chaos_rig.building import attempt, left
from chaos_rig.scene import Scene


def build(scene: Scene) -> None:
    """Whatever dies: the image is there after a second try, and no directory, cgroup or mount of the first."""
    tag, script = f"{scene.name}:1", f"echo {scene.name}"
    scene.crash(lambda: attempt(scene.suite, script, tag))
    eventually(lambda: attempt(scene.suite, script, tag) == "", "a build that is done")
    eventually(lambda: left(scene.suite) == [], "nothing left of builds")
    assert scene.client.steadily("GET", f"/images/{tag}/json").status == 200
    assert scene.client.steadily("DELETE", f"/images/{tag}?force=1").status == 200
