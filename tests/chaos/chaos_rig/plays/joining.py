"""A machine that joins by a token, and is removed, while something dies."""

import json
import signal

from e2e_rig.seaway import Finished
from e2e_rig.waits import eventually

from chaos_rig.scene import Scene


class Machine:
    """The directories of another machine, which becomes a node of the scene's suite."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        place = scene.suite.root.parent / scene.name
        self._places = ("--root", str(place / "root"), "--run", str(place / "run"))
        self.token = _ask(scene, "token", "create").split("--token ")[1].split()[0]

    def join(self) -> Finished:
        words = ("join", self._scene.suite.nats_url, "--token", self.token, "--node", self._scene.name)
        return self._scene.suite.seaway(*words, *self._places)

    @property
    def is_let_in(self) -> bool:
        """Whether its key is a login at the NATS server, by which it reaches metadata."""
        done = self._scene.suite.seaway("doctor", "--json", *self._places)
        levels = {finding["what"]: finding["level"] for finding in json.loads(done.stdout)}
        return levels["login"] == levels.get("metadata") == "ok"

    def leaves(self) -> None:
        done = self._scene.suite.seaway("purge", *self._places)
        assert done.returncode == 0, done.stderr


def join(scene: Scene) -> None:
    """By one use of its token and one key, whoever dies. The command is given again where it is what died."""
    machine = Machine(scene)
    tries: list[Finished] = []

    def until_done() -> None:
        while not tries or tries[-1].returncode == -signal.SIGKILL:
            tries.append(machine.join())

    try:
        scene.crash(until_done)
        assert tries[-1].returncode == 0, tries[-1].stderr
        assert len(tries) == (2 if scene.point.startswith("join.") else 1)
        assert machine.is_let_in
        assert [line.partition("=")[0] for line in _ask(scene, "node", "keys").split()] == [scene.name]
        assert _used_by(scene, machine.token) == [scene.name]
        eventually(lambda: _admitted(scene) == 1, "its event, once")
        _ask(scene, "node", "rm", scene.name)
        assert not machine.is_let_in
    finally:
        machine.leaves()


def leave(scene: Scene) -> None:
    """Wholly: its key is no login, and its token doesn't bring it back."""
    machine = Machine(scene)
    assert machine.join().returncode == 0
    tries: list[Finished] = []
    try:
        scene.crash(lambda: tries.append(_seaway(scene, "node", "rm", scene.name)))
        done = tries[0]
        assert done.returncode == 0 or "no such node" in done.stderr, "what is gone already need not be removed"
        assert _ask(scene, "node", "keys") == ""
        eventually(lambda: not machine.is_let_in, "its login to be gone")
        again = _seaway(scene, "node", "rm", scene.name)
        assert "no such node" in again.stderr, again
        assert _used_by(scene, machine.token) == [scene.name]
    finally:
        machine.leaves()


def _seaway(scene: Scene, *words: str) -> Finished:
    suite = scene.suite
    return suite.seaway(*words, "--root", str(suite.root), "--run", str(suite.run))


def _ask(scene: Scene, *words: str) -> str:
    done = _seaway(scene, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _used_by(scene: Scene, token: str) -> list[str]:
    listed = json.loads(_ask(scene, "token", "ls", "--json"))
    return next(list(one["joined"]) for one in listed if one["id"] == token.split("-")[1])


def _admitted(scene: Scene) -> int:
    """How many events say that it was admitted."""
    return len(scene.client.history(scene.since, type="node", event="admit", node=scene.name))
