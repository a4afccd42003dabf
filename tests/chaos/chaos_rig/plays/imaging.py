"""Images that are pulled and made, and what is told of them, while something dies."""

from collections.abc import Callable
from functools import partial

from e2e_rig.waits import eventually

from chaos_rig.scene import LOOP, Scene


def pull(scene: Scene) -> None:
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


def _pull_once(scene: Scene) -> None:
    source, _, tag = scene.image.rpartition(":")
    scene.client.broken_off("POST", f"/images/create?fromImage={source}&tag={tag}")


def commit(scene: Scene) -> None:
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


def tag(scene: Scene) -> None:
    """Asked for once: who comes after the one that was killed knows what that one did."""
    assert scene.ask_once(*_tagging(scene)).status == 201
    assert _told_of(scene, "tag") == 1
    assert scene.client.steadily("DELETE", f"/images/{scene.name}:1").status == 200


def untag(scene: Scene) -> None:
    """The same; the answer is the one that was lost."""
    assert scene.client.steadily(*_tagging(scene)).status == 201
    reply = scene.ask_once("DELETE", f"/images/{scene.name}:1")
    assert (reply.status, reply.json()) == (200, [{"Untagged": f"{scene.name}:1"}])
    assert _told_of(scene, "untag") == 1


def _tagging(scene: Scene) -> tuple[str, str]:
    return "POST", f"/images/busybox/tag?repo={scene.name}&tag=1"


def _told_of(scene: Scene, action: str) -> int:
    """How often something of the image's name is told, once it is."""
    wanted = {"type": "image", "event": action}
    eventually(lambda: scene.client.history(scene.since, **wanted), f"{action} of {scene.name}")
    return len(scene.client.history(scene.since, **wanted))


def event_of_image(scene: Scene) -> None:
    """Told once, though metadata, which stores it for the image service, did not live to say that the stream has it."""
    _told_once(scene, "metadata", lambda: _pull_once(scene), {"type": "image", "event": "pull"})


def event_of_metadata(scene: Scene) -> None:
    """The same, for what is no single node's event."""
    prune = partial(scene.client.broken_off, "POST", "/containers/prune")
    _told_once(scene, "metadata", prune, {"type": "container", "event": "prune"})


def _told_once(scene: Scene, service: str, act: Callable[[], object], wanted: dict[str, str]) -> None:
    before = scene.suite.row(service)["pid"]
    scene.crash(act)
    scene.suite.restarted(service, before)
    act()
    # What metadata died over is asked anew once its time is out, after 10 s.
    eventually(lambda: len(scene.client.history(scene.since, **wanted)) >= 2, "both events", timeout=30)
    assert len(scene.client.history(scene.since, **wanted)) == 2
