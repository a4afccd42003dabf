"""Logins at the registry, created, given another password and removed while metadata dies."""

from e2e_rig.registry_login import RegistryLogin
from e2e_rig.seaway import Finished
from e2e_rig.waits import eventually

from chaos_rig.plays.users import User
from chaos_rig.scene import Scene


def added(scene: Scene) -> RegistryLogin:
    """A new login for pushing, named as the scene."""
    return _login(scene, User(scene).ask("add", "--registry", "push", "--json"))


def create(scene: Scene) -> None:
    """The command waits for the next metadata; the password that it shows is the one."""
    made: list[RegistryLogin] = []
    scene.crash(lambda: made.append(added(scene)))
    assert made[0].asked() == (200, b"{}")
    eventually(lambda: User(scene).told("create") == 1, "its event, once")
    assert User(scene).ask("rm").returncode == 0


def rotate(scene: Scene) -> None:
    """As `create`; the password before is refused."""
    before, made = added(scene), []
    scene.crash(lambda: made.append(_login(scene, User(scene).ask("rotate", "--json"))))
    eventually(lambda: before.asked()[0] == 401, "the password before to be refused")
    assert made[0].asked() == (200, b"{}")
    eventually(lambda: User(scene).told("rotate") == 1, "its event, once")
    assert User(scene).ask("rm").returncode == 0


def remove(scene: Scene) -> None:
    """Wholly, whoever does it."""
    user, login, tries = User(scene), added(scene), list[Finished]()
    assert login.asked() == (200, b"{}")
    scene.crash(lambda: tries.append(user.ask("rm")))
    assert tries[0].returncode == 0 or "no such user" in tries[0].stderr, tries[0]
    eventually(lambda: user.told("remove") == 1, "its event, once")
    (event,) = scene.client.history(scene.since, type="user", event="remove", user=scene.name)
    assert "reason" not in event["Actor"]["Attributes"]
    eventually(lambda: login.asked()[0] == 401, "the login to be refused")
    assert user.listed() == []


def _login(scene: Scene, done: Finished) -> RegistryLogin:
    assert (done.returncode, done.stderr) == (0, "")
    return RegistryLogin.of(scene.suite.registry, done.stdout)
