"""`seaway user`: what is left where a command fails. `ask` stands for a cluster that can't be made to fail at will."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from seaway_cli import users
from seaway_cli.errors import CliError, Refused
from seaway_cli.tokens import Cluster
from seaway_contracts.catalogue import LIST_USERS, REMOVE_USER
from seaway_contracts.users import BusUser, UserInfo, UserList

BOB = users.NewUser("bob")


@dataclass(frozen=True)
class Asked(Cluster):
    """A cluster that does what it is asked, and then fails as the test says."""

    fail: Callable[[], BaseException] = KeyboardInterrupt
    does: bool = True
    keys: dict[str, str] = field(default_factory=dict)

    def ask(self, channel: Any, request: Any) -> Any:
        if channel is LIST_USERS:
            stored = (BusUser(name=name, public_key=key, created_ns=1) for name, key in self.keys.items())
            return UserList(users=tuple(UserInfo(user=user, stream=None) for user in stored))
        if channel is REMOVE_USER:
            return self.keys.pop(request.name)
        if self.does:
            self.keys[request.name] = request.public_key
        raise self.fail()


def cluster(fail: Callable[[], BaseException], *, does: bool, **keys: str) -> Asked:
    return Asked("nats://x", Path("/p"), None, None, fail, does, dict(keys))


@pytest.mark.parametrize("fail", [KeyboardInterrupt, lambda: CliError("no answer")])
def test_a_user_whose_making_broke_off_is_removed(tmp_path: Path, fail: Callable[[], BaseException]) -> None:
    asked = cluster(fail, does=True)
    with pytest.raises((KeyboardInterrupt, CliError)):
        users.add(asked, BOB, tmp_path)
    assert asked.keys == {} and list(tmp_path.iterdir()) == []


def test_another_user_of_that_name_stays(tmp_path: Path) -> None:
    asked = cluster(lambda: Refused("there is a user bob already"), does=False, bob="U")
    with pytest.raises(CliError, match="already"):
        users.add(asked, BOB, tmp_path)
    assert asked.keys == {"bob": "U"} and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["bob.nk", "bob.nats.json"])
def test_no_file_is_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    asked = cluster(KeyboardInterrupt, does=True)
    with pytest.raises(CliError, match=f"{name} is there already"):
        users.add(asked, BOB, tmp_path)
    assert (tmp_path / name).read_text() == "mine" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("fail", [KeyboardInterrupt, lambda: CliError("no answer")])
def test_a_key_that_may_be_the_new_one_is_kept(tmp_path: Path, fail: Callable[[], BaseException]) -> None:
    (tmp_path / "bob.nk").write_text("old")
    with pytest.raises(CliError, match="repeat `seaway user rotate bob`"):
        users.rotate(cluster(fail, does=True, bob="U"), "bob", tmp_path)
    assert (tmp_path / "bob.nk").read_text() == "old" and (tmp_path / "bob.new").read_text().startswith("SU")


def test_a_key_that_was_refused_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(Refused):
        users.rotate(cluster(lambda: Refused("no such user: bob"), does=False), "bob", tmp_path)
    assert list(tmp_path.iterdir()) == []
