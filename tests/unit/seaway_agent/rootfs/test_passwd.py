"""Users and groups, with the answers that Docker gives."""

import pytest

from seaway_agent.rootfs.errors import UserUnknown
from seaway_agent.rootfs.passwd import Identity, additional_groups, resolve_user

PASSWD = """root:x:0:0:root:/root:/bin/bash
# comment
broken:x:abc:0::/:
huge:x:2147483648:0::/:
minus:x:-1:-1::/:
1000:x:0:0:a number as a name:/root:/bin/sh
app:x:1000:1001:App:/home/app:/bin/sh
short:x:7:8
nul:x:9:9::/home\0/x:/bin/sh
"""
GROUP = """root:x:0:
wheel:x:10:root,app
app:x:1001:
audio:x:29:app
bad:x:x:app
5:x:0:
"""


@pytest.mark.parametrize(
    ("user", "identity"),
    [
        ("", Identity(0, 0, (10,), "/root")),
        ("root", Identity(0, 0, (10,), "/root")),
        ("0", Identity(0, 0, (10,), "/root")),
        ("app", Identity(1000, 1001, (10, 29), "/home/app")),
        ("1000", Identity(1000, 1001, (10, 29), "/home/app")),
        ("app:audio", Identity(1000, 29, (), "/home/app")),
        ("app:", Identity(1000, 1001, (10, 29), "/home/app")),
        ("app:5", Identity(1000, 5, (), "/home/app")),
        ("4711", Identity(4711, 0, (), "/")),
        ("4711:42", Identity(4711, 42, (), "/")),
        ("2147483647:2147483647", Identity(2**31 - 1, 2**31 - 1, (), "/")),
        ("short", Identity(7, 8, (), "/")),
        ("nul", Identity(9, 9, (), "/")),
        (":wheel", Identity(0, 10, (), "/root")),
    ],
)
def test_resolves_as_docker_does(user: str, identity: Identity) -> None:
    assert resolve_user(user, PASSWD, GROUP) == identity


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ("x", "unable to find user x: no matching entries in passwd file"),
        ("broken", "unable to find user broken: no matching entries in passwd file"),
        ("huge", "unable to find user huge: no matching entries in passwd file"),
        ("app:nope", "unable to find group nope: no matching entries in group file"),
        ("1:bad", "unable to find group bad: no matching entries in group file"),
        ("-1", "uids and gids must be in range 0-2147483647"),
        ("2147483648", "uids and gids must be in range 0-2147483647"),
        ("4294967296", "uids and gids must be in range 0-2147483647"),
        ("9" * 40, "uids and gids must be in range 0-2147483647"),
        ("0:-1", "uids and gids must be in range 0-2147483647"),
        ("0:4294967295", "uids and gids must be in range 0-2147483647"),
        ("١", "unable to find user ١: no matching entries in passwd file"),
    ],
)
def test_refuses_as_docker_does(user: str, message: str) -> None:
    with pytest.raises(UserUnknown) as caught:
        resolve_user(user, PASSWD, GROUP)
    assert caught.value.message == message
    assert caught.value.status == 500


def test_without_files_root_is_root() -> None:
    assert resolve_user("", "", "") == Identity()


def test_additional_groups() -> None:
    assert additional_groups(["audio", "4242", "29", "wheel"], GROUP) == (29, 4242, 10)
    with pytest.raises(UserUnknown, match="Unable to find group nope"):
        additional_groups(["nope"], GROUP)
    with pytest.raises(UserUnknown, match="in range"):
        additional_groups(["-5"], GROUP)


def test_giant_files_are_read_only_so_far() -> None:
    text = "x:x:1:1::/:\n" * 200_000 + "late:x:5:5::/:\n"
    with pytest.raises(UserUnknown, match="late"):
        resolve_user("late", text, "")
