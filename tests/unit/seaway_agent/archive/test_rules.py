import pytest

from seaway_agent.archive import rules
from seaway_contracts.containers import Mount
from seaway_contracts.errors import SeawayError


@pytest.mark.parametrize(
    ("given", "path", "base"),
    [
        ("/", "/", "/"),
        (".", "/.", "."),
        ("/.", "/.", "."),
        ("etc/passwd", "/etc/passwd", "passwd"),
        ("/etc/../d/f", "/d/f", "f"),
        ("//d//f", "/d/f", "f"),
        ("/d/", "/d/", "d"),
        ("/d/.", "/d/.", "."),
        ("../../d", "/d", "d"),
        ("/..", "/", "/"),
    ],
)
def test_absolute_paths(given: str, path: str, base: str) -> None:
    assert rules.absolute(given) == path
    assert rules.base_name(path) == base


@pytest.mark.parametrize("path", ["/a\0b", "/" + "x" * 5000])
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(SeawayError) as refused:
        rules.absolute(path)
    assert refused.value.status == 400


def test_where_entries_come_from() -> None:
    assert rules.source_of("/d", directory=True) == ("/d", "", "d")
    assert rules.source_of("/d/.", directory=True) == ("/d/.", "", ".")
    assert rules.source_of("/d/", directory=True) == ("/d/", "", "d")
    assert rules.source_of("/", directory=True) == ("/", "", "")
    assert rules.source_of("/d/f", directory=False) == ("/d", "f", "f")
    assert rules.source_of("/f", directory=False) == ("/", "f", "f")


MOUNTS = (
    Mount(type="volume", target="/vol", source="v"),
    Mount(type="bind", target="/vol/ro/", source="/x", read_only=True),
    Mount(type="tmpfs", target="/tm"),
)


@pytest.mark.parametrize(
    ("path", "running", "refusal"),
    [
        ("/", True, rules.ROOTFS_READ_ONLY),
        ("/etc", True, rules.ROOTFS_READ_ONLY),
        ("/volume", True, rules.ROOTFS_READ_ONLY),
        ("/vol", True, ""),
        ("/vol/sub", False, ""),
        ("/vol/ro", True, rules.VOLUME_READ_ONLY),
        ("/vol/ro/x", True, rules.VOLUME_READ_ONLY),
        ("/tm/x", True, ""),
        ("/tm/x", False, rules.ROOTFS_READ_ONLY),
    ],
)
def test_what_may_be_written(path: str, running: bool, refusal: str) -> None:
    try:
        rules.check_writable(MOUNTS, path, read_only_rootfs=True, running=running)
        said = ""
    except SeawayError as error:
        said = error.message
    assert said == refusal


def test_a_writable_rootfs() -> None:
    rules.check_writable(MOUNTS, "/etc", read_only_rootfs=False, running=True)


@pytest.mark.parametrize(
    ("name", "path"), [(b"a/b", b"a/b"), (b"./a/", b"a"), (b"/a", b"a"), (b".", b"."), (b"", b"."), (b"a/../b", b"b")]
)
def test_entry_names(name: bytes, path: bytes) -> None:
    assert rules.entry_path(name, "/d") == path


def test_entries_that_climb_out() -> None:
    with pytest.raises(SeawayError, match=r'^"../x" is outside of "/d"$'):
        rules.entry_path(b"../x", "/d")
    with pytest.raises(SeawayError, match="is outside of"):
        rules.entry_path(b"a/../../x", "/d")


@pytest.mark.parametrize("target", [b"f", b"/etc/passwd", b"../x", b"sub/../../f"])
def test_links_that_stay(target: bytes) -> None:
    rules.check_symlink(b"sub/link", target, "/d")


@pytest.mark.parametrize("target", [b"../../x", b"../../../etc/passwd"])
def test_links_that_climb_out(target: bytes) -> None:
    with pytest.raises(SeawayError, match=r'^invalid symlink "/d/sub/link" -> '):
        rules.check_symlink(b"sub/link", target, "/d")


def test_hard_links() -> None:
    assert rules.link_path(b"/a/b") == b"a/b"
    with pytest.raises(SeawayError, match="invalid hardlink"):
        rules.link_path(b"../x")


def test_docker_s_words_for_kinds_that_are_kept() -> None:
    over = rules.replaces("/d/f", "/d", there_is_directory=True, comes_directory=False)
    assert (over.status, over.message) == (500, 'cannot overwrite directory "/d/f" with non-directory "/d"')
    under = rules.replaces("/d/f", "/d", there_is_directory=False, comes_directory=True)
    assert under.message == 'cannot overwrite non-directory "/d/f" with directory "/d"'
