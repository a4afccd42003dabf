"""Users of the bus, created, given another key and removed while metadata dies."""

import json
from pathlib import Path
from typing import Any

from e2e_rig.seaway import Finished
from e2e_rig.waits import eventually

from chaos_rig.scene import Scene


class User:
    """A user that is named as the scene, and where its key is written."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.out = scene.suite.root.parent / scene.name

    @property
    def key(self) -> Path:
        return self.out / f"{self._scene.name}.nk"

    def ask(self, verb: str, *words: str) -> Finished:
        return self._scene.suite.seaway("user", verb, self._scene.name, *words, "--run", str(self._scene.suite.run))

    def add(self) -> Finished:
        return self.ask("add", "--keep", "1m", "--out", str(self.out))

    def listed(self) -> list[dict[str, Any]]:
        done = self._scene.suite.seaway("user", "ls", "--json", "--run", str(self._scene.suite.run))
        return [one for one in json.loads(done.stdout) if one["name"] == self._scene.name]

    def told(self, action: str) -> int:
        return len(self._scene.client.history(self._scene.since, type="user", event=action, user=self._scene.name))


def create(scene: Scene) -> None:
    """The command waits for the next metadata."""
    user, tries = User(scene), []
    scene.crash(lambda: tries.append(user.add()))
    assert [(one.returncode, one.stderr) for one in tries] == [(0, "")]
    assert len(user.listed()) == 1 and user.key.exists()
    eventually(lambda: user.told("create") == 1, "its event, once")
    assert user.ask("rm").returncode == 0


def rotate(scene: Scene) -> None:
    """As `create`."""
    user, tries = User(scene), []
    assert user.add().returncode == 0
    before = user.key.read_text()
    scene.crash(lambda: tries.append(user.ask("rotate", "--out", str(user.out))))
    assert [(one.returncode, one.stderr) for one in tries] == [(0, "")]
    assert user.key.read_text() != before
    eventually(lambda: user.told("rotate") == 1, "its event, once")
    assert user.ask("rm").returncode == 0


def remove(scene: Scene) -> None:
    """Wholly, whoever does it; the event says who asked."""
    user, tries = User(scene), []
    assert user.add().returncode == 0
    scene.crash(lambda: tries.append(user.ask("rm")))
    assert tries[0].returncode == 0 or "no such user" in tries[0].stderr, tries[0]
    eventually(lambda: user.told("remove") == 1, "its event, once")
    (event,) = scene.client.history(scene.since, type="user", event="remove", user=scene.name)
    assert "reason" not in event["Actor"]["Attributes"]
    assert user.listed() == []
    again = user.ask("rm")
    assert "no such user" in again.stderr, again
