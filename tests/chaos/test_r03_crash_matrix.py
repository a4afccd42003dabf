"""R3: killed after every durable step, what was asked for has wholly happened, or not at all and can be repeated."""

from functools import partial

import pytest
from chaos_rig.client import Client
from chaos_rig.figures import Figures
from chaos_rig.plays import LOGINS, Play, executing, imaging, making, play_of, pushing, running, volumes
from chaos_rig.scene import REFUSED, Scene
from chaos_rig.suite import ChaosSuite
from e2e_rig.registry import Registry

from seaway_kit.failpoints import Failpoint

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]
_AGAIN = [
    (Failpoint.VOLUME_FILLED, Failpoint.VOLUME_HALF_MOVED),
    (Failpoint.VOLUME_FILLED, Failpoint.VOLUME_MOVED),
    (Failpoint.START_CREATED, Failpoint.TEARDOWN_CGROUPS),
    (Failpoint.START_CREATED, Failpoint.TEARDOWN_FILES),
    (Failpoint.START_CREATED, Failpoint.TEARDOWN_RUN),
    (Failpoint.START_RUNNING, Failpoint.START_RECORDED),
    (Failpoint.START_RUNNING, Failpoint.DIE_RECORDED),
    (Failpoint.START_RECORDED, Failpoint.DIE_RECORDED),
    (Failpoint.DIE_SEEN, Failpoint.DIE_RECORDED),
    (Failpoint.DIE_RECORDED, Failpoint.TEARDOWN_FILES),
    (Failpoint.STOP_SIGNALLED, Failpoint.DIE_RECORDED),
    (Failpoint.EXEC_STARTED, Failpoint.EXEC_DIE_RECORDED),
    (Failpoint.EXEC_DIE_SEEN, Failpoint.EXEC_DIE_RECORDED),
    (Failpoint.REMOVE_UPPER, Failpoint.VOLUME_GONE),
    (Failpoint.REMOVE_UPPER, Failpoint.REMOVE_RECORDED),
    (Failpoint.VOLUME_MOUNTED, Failpoint.VOLUME_UNMOUNTED),
    (Failpoint.VOLUME_MARKED, Failpoint.VOLUME_FORGOTTEN),
    (Failpoint.VOLUME_FORGOTTEN, Failpoint.VOLUME_REMOVED),
    (Failpoint.DIE_RECORDED, Failpoint.EVENTS_JUDGED),
    (Failpoint.DIE_RECORDED, Failpoint.EVENT_STORED),
    (Failpoint.RENAME_RECORDED, Failpoint.EVENTS_JUDGED),
    (Failpoint.UPDATE_RECORDED, Failpoint.EVENTS_JUDGED),
    (Failpoint.EVENTS_JUDGED, Failpoint.EVENT_STORED),
    (Failpoint.EVENT_STORED, Failpoint.EVENTS_JUDGED),
]
"""Where a process is killed, and then where the next one is that takes up what it has left."""


@pytest.mark.parametrize("point", [point for point in Failpoint if point not in REFUSED])
def test_after_each_step(
    suite: ChaosSuite, client: Client, registry: Registry, figures: Figures, point: Failpoint
) -> None:
    Scene(suite, client, registry, point).play(play_of(point))
    figures.show("R3", f"{point}: whole; the client tried again {len(client.refused)} times")


@pytest.mark.parametrize("point", [point for point in Failpoint if point.startswith("exec.") and point not in REFUSED])
def test_after_each_step_of_an_exec_with_a_client(
    suite: ChaosSuite, client: Client, registry: Registry, figures: Figures, point: Failpoint
) -> None:
    Scene(suite, client, registry, point).play(partial(executing.execute, attached=True))
    figures.show("R3", f"{point}, with a client: whole; it tried again {len(client.refused)} times")


@pytest.mark.parametrize("point", LOGINS)
def test_after_each_step_of_a_login(
    suite: ChaosSuite, client: Client, registry: Registry, figures: Figures, point: Failpoint
) -> None:
    Scene(suite, client, registry, point).play(LOGINS[point])
    figures.show("R3", f"{point}, of a login: whole, told once; the registry lets in who may")


@pytest.mark.parametrize("play", [imaging.event_of_image, imaging.event_of_metadata])
def test_after_an_event_of_a_service_without_containers_is_stored(
    suite: ChaosSuite, client: Client, registry: Registry, figures: Figures, play: Play
) -> None:
    Scene(suite, client, registry, Failpoint.EVENT_STORED).play(play)
    figures.show("R3", f"{Failpoint.EVENT_STORED}, {play.__name__.replace('_', ' ')}: told once")


@pytest.mark.parametrize("play", [running.kill_hard, running.remove_hard])
@pytest.mark.parametrize("point", [Failpoint.KILL_RECORDED, Failpoint.STOP_SIGNALLED, Failpoint.DIE_RECORDED])
def test_while_a_container_is_ended_by_force(
    suite: ChaosSuite, client: Client, registry: Registry, figures: Figures, point: Failpoint, play: Play
) -> None:
    Scene(suite, client, registry, point).play(play)
    figures.show("R3", f"{point}, {play.__name__.replace('_', ' ')}: done and told once, and answered")


@pytest.mark.parametrize(
    "point",
    [Failpoint.VOLUME_MARKED, Failpoint.VOLUME_FORGOTTEN, Failpoint.VOLUME_REMOVED, Failpoint.VOLUME_NODE_REMOVED],
)
def test_while_volumes_are_pruned(
    suite: ChaosSuite, client: Client, registry: Registry, figures: Figures, point: Failpoint
) -> None:
    Scene(suite, client, registry, point).play(volumes.prune)
    figures.show("R3", f"{point}, by a prune: whole; the client tried again {len(client.refused)} times")


@pytest.mark.parametrize("play", [imaging.tag, imaging.untag])
def test_after_a_name_of_an_image_is_stored_or_gone(
    suite: ChaosSuite, client: Client, registry: Registry, figures: Figures, play: Play
) -> None:
    Scene(suite, client, registry, Failpoint.IMAGE_NAMED).play(play)
    figures.show("R3", f"{Failpoint.IMAGE_NAMED}, with a client that {play.__name__}s: answered, done and told once")


def test_after_a_pushed_name_is_stored(suite: ChaosSuite, client: Client, registry: Registry, figures: Figures) -> None:
    Scene(suite, client, registry, Failpoint.IMAGE_NAMED).play(pushing.push)
    figures.show("R3", f"{Failpoint.IMAGE_NAMED}, by a push: a plain retry works, told once")


def test_after_a_rename_has_taken_over_a_name(
    suite: ChaosSuite, client: Client, registry: Registry, figures: Figures
) -> None:
    Scene(suite, client, registry, Failpoint.REGISTER_TAKEN_OVER).play(making.take_over_by_rename)
    figures.show("R3", f"{Failpoint.REGISTER_TAKEN_OVER}, by a rename: whole; tried again {len(client.refused)} times")


@pytest.mark.parametrize(("first", "then"), _AGAIN)
def test_killed_again_over_what_a_kill_has_left(
    suite: ChaosSuite, client: Client, registry: Registry, figures: Figures, first: Failpoint, then: Failpoint
) -> None:
    Scene(suite, client, registry, then, before=first).play(play_of(first))
    figures.show("R3", f"{first}, then {then}: whole; the client tried again {len(client.refused)} times")
