"""R3: killed while what can't be done is given up: nothing of it stays."""

from collections.abc import Callable
from functools import partial

import pytest
from chaos_rig import stream
from chaos_rig.client import PORT, Client
from chaos_rig.figures import Figures
from chaos_rig.scene import REFUSED, Scene
from chaos_rig.suite import ChaosSuite
from e2e_rig.registry import Registry
from e2e_rig.waits import eventually

from seaway_contracts.catalogue import CONTAINERS_BUCKET
from seaway_kit.failpoints import Failpoint
from seaway_metadata.store.stored import HORIZON_KEY

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]
_NO_PROGRAM = "/no/such/program"
_OF_A_START = [
    Failpoint.START_CONNECTED,
    Failpoint.START_DIRECTORIES,
    Failpoint.START_MOUNTED,
    Failpoint.START_BUNDLED,
    Failpoint.START_SPAWNED,
    Failpoint.TEARDOWN_PORTS,
    Failpoint.START_DISCONNECTED,
    Failpoint.TEARDOWN_CGROUPS,
    Failpoint.TEARDOWN_FILES,
    Failpoint.TEARDOWN_RUN,
    Failpoint.START_FAILED,
]


def _create(scene: Scene) -> None:
    """A volume can't be filled from a file; the other one was there, and stays."""
    kept = scene.client.create(f"{scene.name}-kept", "exit 0", Binds=[f"{scene.name}:/nothing"])
    body = {
        "Image": "busybox",
        "Cmd": ["true"],
        "Volumes": {"/anonymous": {}},
        "HostConfig": {"NetworkMode": "none", "Binds": [f"{scene.name}:/nothing", "fresh:/etc/passwd"]},
    }
    path = f"/containers/create?name={scene.name}"
    scene.crash(lambda: scene.client.broken_off("POST", path, body))
    assert scene.suite.api.request("POST", path, body).status == 500
    assert [row["Id"] for row in scene.client.steadily("GET", "/containers/json?all=1").json()] == [kept]
    eventually(lambda: [volume.name for volume in scene.volumes] == [scene.name], "the new volumes to be gone")
    scene.client.remove(scene.client.create(scene.name, "exit 0"))


def _start(scene: Scene) -> None:
    """The image has no such program."""
    body: dict[str, object] = {
        "Image": "busybox",
        "Cmd": [_NO_PROGRAM],
        "ExposedPorts": {PORT: {}},
        "HostConfig": {"NetworkMode": "bridge", "PublishAllPorts": True},
    }
    container = scene.client.make(scene.name, body)
    path = f"/containers/{container}/start"
    scene.crash(lambda: scene.client.broken_off("POST", path))
    reply = scene.client.steadily("POST", path)
    assert reply.status == 400 and _NO_PROGRAM.encode() in reply.body, reply
    state = scene.client.state(container)
    assert (state["Status"], state["ExitCode"]) == ("created", 127) and _NO_PROGRAM in state["Error"], state
    scene.client.remove(container)
    assert scene.told(container, "destroy") == ["create", "destroy"]


def _exec(scene: Scene, *, attached: bool) -> None:
    """The container has no such program."""
    container = scene.running()
    made: list[str] = []

    def run() -> None:
        body = {"Cmd": [_NO_PROGRAM], "AttachStdout": attached}
        made.append(scene.client.steadily("POST", f"/containers/{container}/exec", body).json()["Id"])
        scene.client.broken_off("POST", f"/exec/{made[-1]}/start", {"Detach": not attached})

    scene.crash(run)
    run()
    for identifier in made:
        row = scene.client.steadily("GET", f"/exec/{identifier}/json").json()
        assert not row["Running"] and row["ExitCode"] not in (0, None), row
    told = [action.partition(":")[0] for action in scene.client.told(scene.since, container)]
    assert "exec_die" not in told and told.count("exec_start") == 2, told
    scene.gone(container)


def _register(scene: Scene) -> None:
    """The name is another container's; no record is left of the one that could not have it."""
    login = ("metadata", scene.suite.secret("metadata"))

    def records() -> set[str]:
        return stream.keys(scene.suite.nats_url, login, CONTAINERS_BUCKET.name) - {HORIZON_KEY}

    before = records()  # of names that are still reserved for what was never made
    container = scene.client.create(scene.name, "exit 7")
    path, body = f"/containers/create?name={scene.name}", {"Image": "busybox", "Cmd": ["true"]}
    scene.crash(lambda: scene.client.broken_off("POST", path, body))
    assert scene.suite.api.request("POST", path, body).status == 409
    eventually(lambda: records() - before == {container}, "no other record", 30)
    scene.lives_and_dies(container)


_SCENES: dict[str, Callable[[Scene], None]] = {
    "undo": _create,
    "register": _register,
    "start": _start,
    "exec": partial(_exec, attached=False),
    "supervisor": partial(_exec, attached=True),
}


@pytest.mark.parametrize("point", sorted(REFUSED - set(_OF_A_START)))
def test_after_each_step_of_a_refusal(
    suite: ChaosSuite, client: Client, registry: Registry, figures: Figures, point: Failpoint
) -> None:
    Scene(suite, client, registry, point).play(_SCENES[point.partition(".")[0]])
    figures.show("R3", f"{point}: nothing left; the client tried again {len(client.refused)} times")


def test_after_the_refusal_of_an_exec_with_a_client(
    suite: ChaosSuite, client: Client, registry: Registry, figures: Figures
) -> None:
    Scene(suite, client, registry, Failpoint.EXEC_FAILED).play(partial(_exec, attached=True))
    figures.show("R3", f"{Failpoint.EXEC_FAILED}, with a client: nothing left")


def test_after_the_supervisor_has_begun_an_exec_that_is_refused(
    suite: ChaosSuite, client: Client, registry: Registry, figures: Figures
) -> None:
    Scene(suite, client, registry, Failpoint.SUPERVISOR_SPAWNED).play(partial(_exec, attached=True))
    figures.show("R3", f"{Failpoint.SUPERVISOR_SPAWNED}, of an exec that is refused: nothing left")


@pytest.mark.parametrize("point", _OF_A_START)
def test_after_each_step_of_a_start_that_fails(
    suite: ChaosSuite, client: Client, registry: Registry, figures: Figures, point: Failpoint
) -> None:
    Scene(suite, client, registry, point).play(_start)
    figures.show("R3", f"{point}, of a start that fails: nothing left; tried again {len(client.refused)} times")
