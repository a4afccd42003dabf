"""Execs of a container while something dies."""

import shutil
from typing import Any

from e2e_rig.waits import eventually

from chaos_rig.scene import Scene


def execute(scene: Scene, *, attached: bool = False) -> None:
    """One with a client is in the supervisor's hands, others have a shim."""
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
    codes = (3, -1) if scene.point.startswith("supervisor.") else (3,)  # its code went with the supervisor, or did not
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
