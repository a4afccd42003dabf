from seaway_agent.kernel.mountinfo import Mount, parse_mountinfo, targets_below

TEXT = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard
40 27 0:30 /a\\040b /run/x\\040y\\134z rw,nosuid - tmpfs none rw,size=4k
41 40 0:31 / /run/x\\040y\\134z/deep rw - overlay overlay rw,lowerdir=/l1:/l2,upperdir=/u
42 27 0:32 / /run/x2 rw - tmpfs none rw
"""


def test_every_field_of_a_line() -> None:
    assert list(parse_mountinfo(TEXT))[1] == Mount(
        mount_id=27,
        parent_id=1,
        root="/",
        target="/",
        options=frozenset({"rw", "relatime"}),
        tags=("shared:1", "master:2"),
        fstype="ext4",
        source="/dev/vda",
        super_options=frozenset({"rw", "discard"}),
    )


def test_octal_escapes_are_undone() -> None:
    found = list(parse_mountinfo(TEXT))[2]
    assert (found.root, found.target) == ("/a b", "/run/x y\\z")


def test_targets_below_come_in_the_order_of_unmounting() -> None:
    assert targets_below(TEXT, "/run/x y\\z") == ["/run/x y\\z/deep", "/run/x y\\z"]
    assert targets_below(TEXT, "/run/x2/") == ["/run/x2"]
    assert targets_below(TEXT, "/run/x") == []
