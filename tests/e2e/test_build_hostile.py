"""Dockerfiles and contexts that mean harm, against a running engine: an error, or nothing of the node; and no trace."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e_rig.api import Api
from e2e_rig.seaway import Seaway
from e2e_rig.waits import eventually
from tests.hostile.builds import LEADING_OUT, NOT_BUILT, SECRET, of_dockerfile

pytestmark = pytest.mark.seaway_only
_TAR = {"Content-Type": "application/x-tar"}
_WORD = b"what no build may read"
_WRITTEN = Path("/etc/seaway-written")


@pytest.fixture(scope="module", autouse=True)
def secret() -> Iterator[None]:
    """A file of the node."""
    Path(SECRET).write_bytes(_WORD)
    yield
    Path(SECRET).unlink()


@pytest.fixture(autouse=True)
def no_trace(engine: Seaway, api: Api) -> Iterator[None]:
    """After each: the engine answers, nothing is built, nothing is left, nothing was written."""
    before = {one["Id"] for one in api.request("GET", "/images/json").json()}
    yield
    for one in api.request("GET", "/images/json").json():
        if one["Id"] not in before:
            api.request("DELETE", f"/images/{one['Id']}?force=1")
    builds = engine.root / "agent" / engine.node / "builds" / "w"
    eventually(lambda: not builds.exists() or not [*builds.iterdir()], "nothing left of the build", 30)
    assert not _WRITTEN.exists()


@pytest.mark.parametrize("number", NOT_BUILT)
def test_is_not_built(api: Api, number: int) -> None:
    reply = api.request("POST", "/build", of_dockerfile(NOT_BUILT[number]), _TAR, timeout=60)
    assert reply.status >= 400 or b'"error"' in reply.body, reply.body[:500]
    assert b"Successfully built" not in reply.body and _WORD not in reply.body
    assert len(reply.body) < 200_000


@pytest.mark.parametrize("name", LEADING_OUT)
def test_nothing_outside_is_read(api: Api, name: str) -> None:
    reply = api.request("POST", "/build?nocache=1", LEADING_OUT[name], _TAR, timeout=60)
    assert _WORD not in reply.body, reply.body


def _built(api: Api, script: str, query: str = "") -> bytes:
    return api.request("POST", f"/build?nocache=1{query}", of_dockerfile(f"FROM busybox\nRUN {script}\n"), _TAR).body


@pytest.mark.parametrize(
    "script",
    [
        "for f in $(find /sys/fs/cgroup -name '*limit_in_bytes' -o -name memory.max); do echo -1 >$f && echo up; done",
        "for f in /sys/fs/cgroup/*/freezer.state; do echo FROZEN >$f && echo frozen; done",
        "mkdir /sys/fs/cgroup/memory/x && echo made",
        "mount -t tmpfs none /mnt && echo mounted",
        "mount -o remount,rw /sys/fs/cgroup && echo mounted",
        "echo x >/proc/sys/kernel/hostname && echo written",
        "echo b >/proc/sysrq-trigger && echo written",
        "mknod /tun c 10 200 && cat /tun && echo opened",
        "mknod /disk b 8 0 && cat /disk && echo opened",
        "cat /proc/kcore | grep -q . && echo read",
        "unshare -m true && echo unshared",
        "chroot /proc/1/root true && cat /proc/1/root/etc/seaway-secret && echo read",
    ],
)
def test_steps_are_confined(api: Api, script: str) -> None:
    said = _built(api, f"({script}) 2>/dev/null | sed s/^/did'':/; true", "&memory=67108864")
    assert b"did:" not in said and b"Successfully built" in said, said


def test_memory_of_a_step_is_bounded(api: Api) -> None:
    said = _built(api, "head -c $((2*100000000)) /dev/zero | tail | wc -c", "&memory=33554432&memswap=33554432")
    assert b"200000000" not in said, said


def test_a_flood_of_output_comes_whole(api: Api) -> None:
    said = _built(api, "yes 0123456789 | head -c 20000000")
    assert said.count(b"0123456789") > 1_800_000 and b"Successfully built" in said[-2000:]


def test_one_endless_line(api: Api) -> None:
    assert b"Successfully built" in _built(api, "head -c 20000000 /dev/zero | tr '\\\\0' x")[-2000:]


def test_many_at_once(api: Api) -> None:
    """More than run at once: the others wait, and all end."""
    import concurrent.futures

    def one(number: int) -> Any:
        return _built(api, f"echo {number}")

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(b"Successfully built" in said for said in pool.map(one, range(8)))
