import os
from pathlib import Path
from typing import Any

import pytest

from seaway_agent.kernel import overlay
from seaway_agent.kernel.launcher import Launcher

pytestmark = pytest.mark.root

WAYS = ["fsconfig", "mount"]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to mount, where the kernel has both."""
    if request.param == "fsconfig" and not overlay._knows_lowerdir_plus():
        pytest.skip("this kernel has no lowerdir+")
    monkeypatch.setattr(overlay._Support, "lowerdir_plus", request.param == "fsconfig")
    return str(request.param)


def make(base: Path, *names: str) -> list[str]:
    for name in names:
        (base / name).mkdir(parents=True)
    return [str(base / name) for name in names]


def inside(launcher: Launcher, fn: Any, *args: Any) -> Any:
    return launcher.call(fn, *args).result()


def mount_read_umount(target: str, lowers: list[str], upper: str, work: str, names: list[str]) -> list[str]:
    overlay.mount_overlay(target, lowers, upper, work)
    try:
        (Path(target) / "written").write_text("new")
        return [(Path(target) / name).read_text() for name in names]
    finally:
        overlay.umount(target)


@pytest.mark.parametrize(("count", "length"), [(1, 5), (40, 5), (120, 200)])
def test_any_number_of_lowers_with_names_of_any_length(
    launcher: Launcher, tmp_path: Path, way: str, count: int, length: int
) -> None:
    lowers = make(tmp_path, *(f"{index:0{length}d}" for index in range(count)))
    upper, work, target = make(tmp_path, "u" * length, "w" * length, "m")
    for index, lower in enumerate(lowers):
        (Path(lower) / f"only-{index}").write_text(str(index))
        (Path(lower) / "shared").write_text(f"layer {index}")
    names = [*(f"only-{index}" for index in range(count)), "shared"]
    expected = [*map(str, range(count)), "layer 0"]
    assert inside(launcher, mount_read_umount, target, lowers, upper, work, names) == expected
    assert (Path(upper) / "written").read_text() == "new"


def test_path_longer_than_fsconfig_takes(launcher: Launcher, tmp_path: Path, way: str) -> None:
    deep = "/".join(["d" * 60] * 6)
    lower, upper, work, target = make(tmp_path, f"{deep}/l", f"{deep}/u", f"{deep}/w", "m")
    (Path(lower) / "file").write_text("x")
    assert inside(launcher, mount_read_umount, target, [lower], upper, work, ["file"]) == ["x"]


def test_names_with_separators_of_mount_options(launcher: Launcher, tmp_path: Path, way: str) -> None:
    lower, upper, work, target = make(tmp_path, "a:b,c\\d", "u:1", "w,2", "m m")
    (Path(lower) / "file").write_text("x")
    assert inside(launcher, mount_read_umount, target, [lower], upper, work, ["file"]) == ["x"]


def test_a_read_only_view(launcher: Launcher, tmp_path: Path, way: str) -> None:
    first, second, target = make(tmp_path, "1", "2", "m")

    def check() -> None:
        overlay.mount_overlay(target, [first, second], None, None, read_only=True)
        try:
            with pytest.raises(OSError, match="Read-only"):
                (Path(target) / "file").write_text("x")
        finally:
            overlay.umount(target)

    inside(launcher, check)


def test_volatile_can_be_mounted_again(launcher: Launcher, tmp_path: Path, way: str) -> None:
    lower, upper, work, target = make(tmp_path, "l", "u", "w", "m")
    for _ in range(2):
        inside(launcher, lambda: overlay.mount_overlay(target, [lower], upper, work, volatile=True))
        inside(launcher, overlay.umount, target)


def test_a_refused_mount_names_the_reason_and_leaves_nothing(launcher: Launcher, tmp_path: Path, way: str) -> None:
    lower, upper, target = make(tmp_path, "l", "u", "m")
    with pytest.raises(OSError, match=str(tmp_path)):
        inside(launcher, overlay.mount_overlay, target, [lower, str(tmp_path / "absent")], upper, upper)
    assert str(target) not in inside(launcher, Path("/proc/thread-self/mountinfo").read_text)


def test_bad_counts_are_refused_before_the_kernel(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="1 to 500"):
        overlay.mount_overlay(str(tmp_path), [], "/u", "/w")
    with pytest.raises(OSError, match="both an upper and a work"):
        overlay.mount_overlay(str(tmp_path), ["/l"], "/u", None)


def test_umount_while_in_use_detaches(launcher: Launcher, tmp_path: Path, way: str) -> None:
    lower, upper, work, target = make(tmp_path, "l", "u", "w", "m")
    (Path(lower) / "file").write_text("still here")
    inside(launcher, overlay.mount_overlay, target, [lower], upper, work)
    fd = inside(launcher, os.open, f"{target}/file", os.O_RDONLY)
    inside(launcher, overlay.umount, target)
    assert os.read(fd, 100) == b"still here"
    assert inside(launcher, os.listdir, target) == []
    os.close(fd)
