import pytest

from seaway_agent.kernel.cgroup_text import (
    BlockIo,
    CgroupLayout,
    CgroupMode,
    cgroups_path,
    own_cgroup,
    parse_blkio_v1,
    parse_count,
    parse_io_v2,
    parse_keyed,
    parse_layout,
    parse_limit,
)

V1 = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
"""
UNIFIED = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n"
V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,memory_recursiveprot\n"
NAMED = "40 31 0:37 / /mnt/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd\n"


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        (V1, CgroupMode.V1),
        (V1 + UNIFIED, CgroupMode.HYBRID),
        (V2, CgroupMode.V2),
        (V2 + NAMED, CgroupMode.V2),
    ],
)
def test_mode(text: str, mode: CgroupMode) -> None:
    assert parse_layout(text).mode is mode


def test_no_cgroups_say_what_to_do() -> None:
    with pytest.raises(ValueError, match="mount cgroup2"):
        parse_layout("31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n")


def test_v1_directories_are_listed_once_where_controllers_share_a_mount() -> None:
    layout = parse_layout(V1)
    assert layout.directories("/seaway/s/c1") == (
        "/sys/fs/cgroup/cpu,cpuacct/seaway/s/c1",
        "/sys/fs/cgroup/memory/seaway/s/c1",
        "/sys/fs/cgroup/systemd/seaway/s/c1",
    )
    assert layout.directory("cpuacct", "/c") == layout.directory("cpu", "/c") == "/sys/fs/cgroup/cpu,cpuacct/c"
    assert layout.directory("pids", "/c") is None


def test_hybrid_keeps_resources_in_v1_and_lists_the_unified_directory_for_removal() -> None:
    layout = parse_layout(V1 + UNIFIED)
    assert layout.directory("memory", "/c") == "/sys/fs/cgroup/memory/c"
    assert layout.directories("/c")[-1] == "/sys/fs/cgroup/unified/c"


def test_v2_has_one_directory_for_all() -> None:
    layout = parse_layout(V2)
    assert layout.directories("/s/c") == ("/sys/fs/cgroup/s/c",)
    assert layout.directory("pids", "/s/c") == "/sys/fs/cgroup/s/c"


@pytest.mark.parametrize("parent", ["/seaway/s", "seaway/s/", "/seaway/s/"])
def test_cgroups_path_is_absolute(parent: str) -> None:
    assert cgroups_path(parent, "c1") == "/seaway/s/c1"
    assert cgroups_path("/", "c1") == cgroups_path("", "c1") == "/c1"


@pytest.mark.parametrize(
    ("parent", "path"), [("../../up", "/up/c1"), ("//a//b/../x", "/a/x/c1"), ("..", "/c1"), ("a.slice", "/a.slice/c1")]
)
def test_a_users_parent_stays_below_the_root(parent: str, path: str) -> None:
    assert cgroups_path(parent, "c1") == path


def test_numbers() -> None:
    assert parse_count("12\n") == 12
    assert parse_count("") == 0
    assert parse_limit("67108864\n") == 67108864
    assert parse_limit("max\n") is None
    assert parse_limit("9223372036854771712\n") is None
    assert parse_limit("") is None
    assert parse_keyed("cache 1\nrss 22\nnonsense\nx y\nneg -1\n") == {"cache": 1, "rss": 22}


def test_blkio_v1_joins_bytes_and_operations_per_device() -> None:
    service = "8:0 Read 4096\n8:0 Write 512\n8:0 Sync 1\n8:0 Total 4608\n253:1 Read 7\nTotal 4615\n"
    serviced = "8:0 Read 2\n8:0 Write 1\nTotal 3\n"
    assert parse_blkio_v1(service, serviced) == (BlockIo(8, 0, 4096, 512, 2, 1), BlockIo(253, 1, 7, 0, 0, 0))
    assert parse_blkio_v1("Total 0\n", "") == ()


def test_io_v2() -> None:
    text = "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n7:0 \n"
    assert parse_io_v2(text) == (BlockIo(8, 0, 1, 2, 3, 4),)


def test_own_cgroup_on_each_layout() -> None:
    hybrid = CgroupLayout(CgroupMode.HYBRID, {"cpu": "/c/cpu", "name=systemd": "/c/systemd"}, "/c/unified")
    text = "3:name=systemd:/user\n2:cpu,cpuacct:/a/b\n0::/x\n"
    assert own_cgroup(hybrid, text) == "/c/systemd/user"
    assert own_cgroup(hybrid, "2:cpu,cpuacct:/\n0::/x\n") == "/c/cpu"
    assert own_cgroup(CgroupLayout(CgroupMode.V2, {}, "/c"), text) == "/c/x"
    assert own_cgroup(CgroupLayout(CgroupMode.V2, {}, "/c"), "0::/\n") == "/c"
    assert own_cgroup(CgroupLayout(CgroupMode.V1, {"cpu": "/c/cpu"}, None), "0::/x\n") is None
