import fcntl
import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seaway_agent.kernel import paths
from seaway_testing.descriptors import none_left_open

Read = Callable[[int, str, int], str | None]


@pytest.fixture(params=[paths.read_text_in_root, paths.read_text_nonblocking])
def read(request: pytest.FixtureRequest) -> Read:
    found: Read = request.param
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("secret")
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def fd(root: Path) -> Iterator[int]:
    with none_left_open():
        rootfd = os.open(root, os.O_PATH | os.O_DIRECTORY)
        yield rootfd
        os.close(rootfd)


@pytest.mark.parametrize("target", ["../outside", "../../../../outside", "/outside", "/proc/self/root/outside"])
def test_links_stay_inside(root: Path, fd: int, target: str) -> None:
    (root / "link").symlink_to(target)
    with pytest.raises(FileNotFoundError):
        paths.open_in_root(fd, "/link/secret", os.O_RDONLY)


def test_dots_at_the_root_stay_inside(fd: int) -> None:
    with pytest.raises(FileNotFoundError):
        paths.open_in_root(fd, "../outside/secret", os.O_RDONLY)


def test_absolute_links_mean_the_rootfs(root: Path, fd: int) -> None:
    (root / "real").mkdir()
    (root / "real/file").write_text("inside")
    (root / "link").symlink_to("/real")
    with os.fdopen(paths.open_in_root(fd, "/link/file", os.O_RDONLY)) as file:
        assert file.read() == "inside"


def test_text_is_read_up_to_its_limit(root: Path, fd: int) -> None:
    (root / "etc").mkdir()
    (root / "etc/passwd").write_bytes(b"root:\xff:0")
    assert paths.read_text_in_root(fd, "etc/passwd", 100) == "root:\ufffd:0"
    assert paths.read_text_in_root(fd, "etc/passwd", 4) == "root"
    assert paths.read_text_in_root(fd, "etc/group", 100) == ""


@pytest.mark.parametrize("target", ["/outside/secret", "../../outside/secret", "/proc/self/root/etc/passwd", "passwd"])
def test_text_behind_a_link_to_outside_is_none(read: Read, root: Path, fd: int, target: str) -> None:
    (root / "etc").mkdir()
    (root / "etc/passwd").symlink_to(target)
    assert read(fd, "etc/passwd", 100) == ""


def test_text_behind_a_link_inside(read: Read, root: Path, fd: int) -> None:
    (root / "etc").mkdir()
    (root / "etc/passwd").symlink_to("/../usr/../accounts")
    (root / "usr").mkdir()
    (root / "accounts").write_text("inside")
    assert read(fd, "etc/passwd", 100) == "inside"
    (root / "etc").rename(root / "real")
    (root / "etc").symlink_to("/real")
    assert read(fd, "etc/passwd", 100) == "inside"


def test_text_that_is_a_directory_or_a_socket_is_none(read: Read, root: Path, fd: int) -> None:
    (root / "etc/passwd").mkdir(parents=True)
    assert read(fd, "etc/passwd", 100) == ""
    os.mknod(root / "etc/group", stat.S_IFSOCK | 0o600)
    assert read(fd, "etc/group", 100) == ""


def test_what_is_no_plain_file_is_never_opened(read: Read, root: Path, fd: int) -> None:
    """Opening a device may have effects. Opening this FIFO would unblock its writer."""
    (root / "etc").mkdir()
    fifo = root / "etc/passwd"
    os.mkfifo(fifo)
    opened: list[int] = []
    writer = threading.Thread(target=lambda: opened.append(os.open(fifo, os.O_WRONLY)))
    writer.start()
    try:
        assert read(fd, "etc/passwd", 100) == ""
        writer.join(0.1)
        assert opened == []
    finally:
        reader = os.open(fifo, os.O_RDONLY)
        writer.join()
        for end in (reader, *opened):
            os.close(end)


def test_nonblocking_text_is_whole_or_not_read(root: Path, fd: int) -> None:
    (root / "etc").mkdir()
    (root / "etc/passwd").write_bytes(b"root:\xff:0")
    assert paths.read_text_nonblocking(fd, "etc/passwd", 8) == "root:\ufffd:0"
    assert paths.read_text_nonblocking(fd, "etc/passwd", 7) is None
    assert paths.read_text_nonblocking(fd, "etc/group", 100) == ""


def test_a_nonblocking_read_waits_for_no_lease(root: Path, fd: int) -> None:
    """Otherwise the holder of a lease blocks readers for 45 s."""
    (root / "passwd").write_text("root")
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        with open(root / "passwd", "r+") as leased:
            fcntl.fcntl(leased, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            assert paths.read_text_nonblocking(fd, "passwd", 100) is None
        assert paths.read_text_nonblocking(fd, "passwd", 100) == "root"
    finally:
        signal.signal(signal.SIGIO, before)


def test_lstat_sees_the_link_itself(root: Path, fd: int) -> None:
    (root / "dir").mkdir()
    (root / "way").symlink_to("/dir")
    (root / "dir/link").symlink_to("/nowhere")
    assert stat.S_ISLNK(paths.lstat_in_root(fd, "/way/link").st_mode)
    with pytest.raises(FileNotFoundError):
        paths.lstat_in_root(fd, "/way/absent")


@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        ("/", "/"),
        ("a/./b/../c", "/a/c"),
        ("/../../x", "/x"),
        ("/abs/file", "/dir/sub/file"),
        ("/rel/../y", "/dir/y"),
        ("/dangling/z", "/not/there/z"),
        ("/escape/etc", "/etc"),
    ],
)
def test_resolve(root: Path, fd: int, path: str, resolved: str) -> None:
    (root / "dir/sub").mkdir(parents=True)
    (root / "abs").symlink_to("/dir/sub")
    (root / "rel").symlink_to("dir/sub")
    (root / "dangling").symlink_to("/not/there")
    (root / "escape").symlink_to("../../..")
    assert paths.resolve(fd, path) == resolved


def test_a_loop_of_links_is_an_error(root: Path, fd: int) -> None:
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    with pytest.raises(OSError, match="Too many levels"):
        paths.resolve(fd, "/a")
    with pytest.raises(OSError, match="Too many levels"):
        paths.open_in_root(fd, "/a", os.O_RDONLY)


def test_mkdir_all_makes_what_is_missing_inside(root: Path, tmp_path: Path, fd: int) -> None:
    (root / "var").symlink_to("/../outside/data")
    os.close(paths.mkdir_all_in_root(fd, "/var/lib/x"))
    assert (root / "outside/data/lib/x").is_dir()
    assert [entry.name for entry in (tmp_path / "outside").iterdir()] == ["secret"]
    os.close(paths.mkdir_all_in_root(fd, "/var/lib/x"))
    os.close(paths.mkdir_all_in_root(fd, "/"))


def test_mkdir_all_stops_at_a_file(root: Path, fd: int) -> None:
    (root / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        paths.mkdir_all_in_root(fd, "/file/sub")


def test_replace_with_file(root: Path, tmp_path: Path, fd: int) -> None:
    (root / "etc/hosts/deep").mkdir(parents=True)
    (root / "etc/hosts/deep/link").symlink_to(tmp_path / "outside")
    (root / "etc/resolv.conf").symlink_to(tmp_path / "outside/secret")
    os.mkfifo(root / "etc/hostname")
    (root / "etc/mtab").write_text("kept")
    for name in ("hosts", "resolv.conf", "hostname"):
        assert paths.replace_with_file_in_root(fd, f"/etc/{name}")
        assert stat.S_ISREG((root / "etc" / name).lstat().st_mode)
        assert (root / "etc" / name).read_text() == ""
    assert not paths.replace_with_file_in_root(fd, "/etc/mtab")
    assert (root / "etc/mtab").read_text() == "kept"
    assert (tmp_path / "outside/secret").read_text() == "secret"


def test_a_path_without_a_name_is_refused(fd: int) -> None:
    with pytest.raises(OSError, match="not a path with a name"):
        paths.replace_with_file_in_root(fd, "/etc/..")
