"""The options of the driver `local`, as moby and its mount package read them."""

import pytest

from seaway_agent.kernel import syscalls
from seaway_agent.volumes import options
from seaway_agent.volumes.options import MountCall, MountOptions, mount_options, parse
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.volumes import VolumeRecord

BIND, RDONLY, REC = syscalls.MS_BIND, syscalls.MS_RDONLY, syscalls.MS_REC


def test_what_the_driver_does_not_take_is_refused() -> None:
    options.check("v", {"type": "none", "device": "/a", "o": "bind"})
    with pytest.raises(SeawayError) as refused:
        options.check("v", {"foo": "1"})
    assert (refused.value.code, refused.value.message) == (Code.BAD_REQUEST, 'create v: invalid option: "foo"')


@pytest.mark.parametrize(
    ("text", "flags", "data"),
    [
        ("", 0, ""),
        ("size=1m,uid=1000", 0, "size=1m,uid=1000"),
        ("bind,ro", BIND | RDONLY, ""),
        ("rbind,rslave", BIND | REC | syscalls.MS_SLAVE, ""),
        ("ro,rw", 0, ""),
        ("nosuid,nodev,noexec,noatime,size=5", 0x2 | 0x4 | 0x8 | 0x400, "size=5"),
        ("nosuid,suid,noexec,exec,nodev,dev,noatime,atime", 0, ""),
        ("sync,dirsync,mand,nodiratime,relatime,strictatime", 0x10 | 0x80 | 0x40 | 0x800 | 0x200000 | 0x1000000, ""),
        ("sync,async,mand,nomand,relatime,norelatime", 0, ""),
        ("defaults,addr=1.2.3.4", 0, "defaults,addr=1.2.3.4"),
        ("remount,shared,unbindable,private", 0x20 | 0x100000 | 0x20000 | 0x40000, ""),
    ],
)
def test_flags_and_data(text: str, flags: int, data: str) -> None:
    assert parse(text) == (flags, data)


@pytest.mark.parametrize(
    ("given", "calls"),
    [
        (("tmpfs", "tmpfs", "size=1m,nosuid"), [MountCall("mount", "tmpfs", "tmpfs", 0x2, "size=1m")]),
        (("none", "/a", "bind"), [MountCall("mount", "/a", "none", BIND, "")]),
        (
            ("none", "/a", "bind,ro"),
            [
                MountCall("mount", "/a", "none", BIND | RDONLY, ""),
                MountCall("remount-ro", "", "", BIND | RDONLY | 0x20, ""),
            ],
        ),
        (
            ("none", "/a", "rbind,rshared"),
            [
                MountCall("mount", "/a", "none", BIND | REC, ""),
                MountCall("remount", "", "", syscalls.MS_SHARED | REC, ""),
            ],
        ),
        (("ext4", "/dev/sdx", "ro"), [MountCall("mount", "/dev/sdx", "ext4", RDONLY, "")]),
        (("tmpfs", "none", ""), []),
        (("tmpfs", "none", "size=1m"), [MountCall("mount", "none", "tmpfs", 0, "size=1m")]),
        (
            ("nfs", ":/x", "addr=10.0.0.1,rw,nfsvers=4"),
            [MountCall("mount", ":/x", "nfs", 0, "addr=10.0.0.1,nfsvers=4")],
        ),
    ],
)
def test_calls_of_mount(given: tuple[str, str, str], calls: list[MountCall]) -> None:
    assert list(MountOptions(*given).calls()) == calls


@pytest.mark.parametrize(
    ("given", "server", "resolved"),
    [
        (("nfs", ":/x", "addr=files.lan,rw"), "files.lan", ("nfs", ":/x", "addr=10.0.0.9,rw")),
        (("nfs", ":/x", "rw,addr=fe80::1"), "fe80::1", ("nfs", ":/x", "rw,addr=10.0.0.9")),
        (("cifs", "//other/s", "username=u,addr=files"), "files", ("cifs", "//other/s", "username=u,addr=10.0.0.9")),
        (("cifs", "//files.lan/share/a", "username=u"), "files.lan", ("cifs", "//10.0.0.9/share/a", "username=u")),
        (("cifs", "//files", ""), "files", ("cifs", "//10.0.0.9", "")),
    ],
)
def test_the_name_of_a_server_is_replaced_by_its_address(
    given: tuple[str, str, str], server: str, resolved: tuple[str, str, str]
) -> None:
    asked = MountOptions(*given)
    assert asked.server == server
    assert asked.at("10.0.0.9") == MountOptions(*resolved)


@pytest.mark.parametrize(
    "given",
    [
        ("nfs", ":/x", "addr=10.0.0.1,rw"),
        ("nfs", "files:/x", "rw"),
        ("cifs", "//10.0.0.1/s", ""),
        ("cifs", "//[fe80::1]/s", ""),
        ("tmpfs", "tmpfs", "addr=name"),
    ],
)
def test_what_needs_no_address(given: tuple[str, str, str]) -> None:
    assert MountOptions(*given).server == ""


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert MountOptions("cifs", "//files/s", "").at("fe80::1").device == "//[fe80::1]/s"


def test_a_failure_in_mobys_words_without_the_password() -> None:
    call = MountCall("mount", "//h/s", "cifs", RDONLY, "username=u,password=secret,x=secret")
    assert call.failure("/v", "no such device") == (
        "mount //h/s:/v, flags: 0x1, data: username=u,password=********,x=secret: no such device"
    )
    assert MountCall("remount", "", "", 0x40000, "").failure("/v", "x") == "remount /v, flags: 0x40000: x"
    assert MountCall("mount", "a", "b", 0, "").failure("/v", "x") == "mount a:/v: x"


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ("password=a,x=1,password=b", "password=********,x=1,password=********"),
        ("user=u,pass=secret", "user=u,pass=********"),
        ("password2=b,pass2=c,PASS=d", "password2=********,pass2=********,PASS=********"),
        ("password=a,,b,user=u", "password=********,user=u"),
        ("sep=;user=u;password=a;x", "sep=;user=u;password=********"),
        ("password=,passive=1,bypass=2", "password=,passive=1,bypass=2"),
    ],
)
def test_no_password_in_a_failure(data: str, shown: str) -> None:
    assert MountCall("mount", "//h/s", "cifs", 0, data).failure("/v", "x") == f"mount //h/s:/v, data: {shown}: x"


@pytest.mark.parametrize("device", ["//[bad/s", "//a[b]/s", "//\u2100/s", "//h:abc/s", "no url", ""])
def test_an_odd_device_has_no_server_or_one(device: str) -> None:
    assert MountOptions("cifs", device, "").server in ("", "h")


def test_which_volumes_are_mounted() -> None:
    def of(**given: str) -> MountOptions | None:
        return mount_options(VolumeRecord(id="1", name="v", created_ns=1, options=given))

    assert of() is None and of(size="0") is None and of(type="", device="") is None
    assert of(type="tmpfs", device="tmpfs") == MountOptions("tmpfs", "tmpfs", "")
    assert of(type="none", device="/a", o="bind,ro") == MountOptions("none", "/a", "bind,ro")
