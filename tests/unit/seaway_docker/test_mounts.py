from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_docker.errors import InvalidParameter
from seaway_docker.go_json import read_body
from seaway_docker.model_host import Mount
from seaway_docker.mounts import (
    MountSpec,
    collect_mounts,
    parse_bind,
    parse_mount,
    parse_volumes_from,
)


def mount(**fields: Any) -> Mount:
    return read_body(Mount, fields)


def test_binds() -> None:
    bind = parse_bind("/tmp/../srv/:/b/./c:ro,z,rshared")
    assert (bind.kind, bind.source, bind.target) == ("bind", "/srv", "/b/c")
    assert (bind.read_only, bind.relabel, bind.bind.propagation, bind.create_source) == (True, "z", "rshared", True)
    assert bind.mode == "ro,z,rshared"
    volume = parse_bind("VOL_1:/c:nocopy,ro")
    assert (volume.kind, volume.source, volume.volume.no_copy, volume.create_source) == ("volume", "VOL_1", True, False)
    assert parse_bind("/ctr").anonymous
    assert parse_bind("/tmp:/b:consistent") == parse_bind("/tmp:/b:consistent")
    assert parse_bind("/tmp:/b:").mode == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid volume specification: ''"),
        (":", "invalid volume specification: ':'"),
        (":/b", "invalid volume specification: ':/b'"),
        ("/tmp:", "invalid volume specification: '/tmp:'"),
        ("/ctr:ro", "invalid volume specification: '/ctr:ro'"),
        ("/tmp:/b:ro:z", "invalid volume specification: '/tmp:/b:ro:z'"),
        ("/a:/b:zz", "invalid mode: zz"),
        ("/tmp:/b:ro,rw", "invalid mode: ro,rw"),
        ("/tmp:/b:z,Z", "invalid mode: z,Z"),
        ("/tmp:/b:ro,ro", "invalid mode: ro,ro"),
        ("vol:/c:,", "invalid mode: ,"),
        ("/tmp:/b:rshared,shared", "invalid mode: rshared,shared"),
        (
            "/a:/",
            "invalid volume specification: '/a:/': invalid mount config for type \"bind\": "
            "invalid specification: destination can't be '/'",
        ),
        (
            "/tmp:/..",
            "invalid volume specification: '/tmp:/..': invalid mount config for type \"bind\": "
            "invalid specification: destination can't be '/'",
        ),
        (
            "rel",
            "invalid volume specification: 'rel': invalid mount config for type \"volume\": "
            "invalid mount path: 'rel' mount path must be absolute",
        ),
        (
            "/tmp:/b:nocopy",
            "invalid volume specification: '/tmp:/b:nocopy': invalid mount config for type \"bind\": "
            "field VolumeOptions must not be specified",
        ),
        (
            "vol:/b:rshared",
            "invalid volume specification: 'vol:/b:rshared': invalid mount config for type \"volume\": "
            "field BindOptions must not be specified",
        ),
        (
            "a/b:/c",
            'create a/b: "a/b" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" '
            "are allowed. If you intended to pass a host directory, use absolute path",
        ),
        ("v:/c", "create v: volume name is too short, names should be at least two alphanumeric characters"),
    ],
)
def test_bad_binds(text: str, message: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        parse_bind(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"Type": "bind", "Target": "/c"}, "field Source must not be empty"),
        ({"Type": "bind", "Source": "/tmp"}, "field Target must not be empty"),
        ({"Type": "bind", "Source": "rel", "Target": "/c"}, "invalid mount path: 'rel' mount path must be absolute"),
        ({"Type": "bind", "Source": "/t", "Target": "rel"}, "invalid mount path: 'rel' mount path must be absolute"),
        ({"Type": "zz", "Target": "/c"}, "mount type unknown"),
        ({"Target": "/c"}, "mount type unknown"),
        ({"Type": "volume", "Target": "/"}, "invalid specification: destination can't be '/'"),
        ({"Type": "tmpfs", "Source": "x", "Target": "/c"}, "field Source must not be specified"),
        (
            {"Type": "bind", "Source": "/tmp", "Target": "/c", "BindOptions": {"Propagation": "zz"}},
            "invalid propagation mode: zz",
        ),
        (
            {"Type": "volume", "Target": "/c", "ReadOnly": True},
            "must not set ReadOnly mode when using anonymous volumes",
        ),
        (
            {"Type": "volume", "Source": "vol", "Target": "/c", "VolumeOptions": {"Subpath": "a/../../x"}},
            "subpath must be a relative path within the volume",
        ),
    ],
)
def test_bad_mounts(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        parse_mount(mount(**fields))
    assert str(caught.value) == f'invalid mount config for type "{fields.get("Type", "")}": {message}'


def test_options_of_another_type() -> None:
    with pytest.raises(InvalidParameter, match=r'^BindOptions must not be specified on mount type "volume"$'):
        parse_mount(mount(Type="volume", Source="vol", Target="/c", BindOptions={}))


def test_good_mounts() -> None:
    spec = parse_mount(
        mount(Type="bind", Source="//srv", Target="/c/", ReadOnly=True, BindOptions={"CreateMountpoint": True})
    )
    assert (spec.source, spec.target, spec.read_only, spec.create_source) == ("/srv", "/c", True, True)
    assert not parse_mount(mount(Type="bind", Source="/srv", Target="/c")).create_source
    assert parse_mount(mount(Type="volume", Target="/c")).anonymous
    assert parse_mount(mount(Type="tmpfs", Target="/c", TmpfsOptions={"SizeBytes": 5})).tmpfs.size_bytes == 5


def test_all_mounts_of_a_container() -> None:
    specs = collect_mounts(
        ["/srv:/a"],
        [mount(Type="volume", Source="vol", Target="/b")],
        {"/t": "size=1m"},
    )
    assert [(spec.kind, spec.target, spec.source) for spec in specs] == [
        ("bind", "/a", "/srv"),
        ("volume", "/b", "vol"),
        ("tmpfs", "/t", ""),
    ]
    assert specs[2].tmpfs_data == "size=1m"


@pytest.mark.parametrize(
    ("binds", "mounts", "tmpfs"),
    [
        (["/tmp:/b", "vol:/b/"], [], {}),
        (["/tmp:/b"], [mount(Type="tmpfs", Target="/b")], {}),
        (["/tmp:/b"], [], {"/b": ""}),
    ],
)
def test_duplicates(binds: list[str], mounts: list[Mount], tmpfs: dict[str, str]) -> None:
    with pytest.raises(InvalidParameter, match=r"^Duplicate mount point: /b$"):
        collect_mounts(binds, mounts, tmpfs)


def test_bad_tmpfs_target() -> None:
    with pytest.raises(InvalidParameter, match=r"^invalid mount path: 'rel' mount path must be absolute$"):
        collect_mounts(tmpfs={"rel": ""})


def test_volumes_from() -> None:
    assert parse_volumes_from("db") == ("db", False)
    assert parse_volumes_from("db:ro") == ("db", True)
    with pytest.raises(InvalidParameter, match="invalid mode: zz"):
        parse_volumes_from("db:zz")
    with pytest.raises(InvalidParameter, match="malformed volumes-from specification: :ro"):
        parse_volumes_from(":ro")


@given(st.text("/a.:roz,", max_size=14))
def test_any_bind_is_absolute_and_inside_or_refused(text: str) -> None:
    try:
        spec = parse_bind(text)
    except InvalidParameter:
        return
    assert isinstance(spec, MountSpec)
    assert spec.target.startswith("/") and spec.target != "/" and ".." not in spec.target.split("/")


def test_images() -> None:
    whole = parse_mount(mount(Type="image", Source="a:1", Target="/i/"))
    assert (whole.kind, whole.source, whole.target, whole.read_only) == ("image", "a:1", "/i", True)
    assert parse_mount(mount(Type="image", Source="a", Target="/i", ImageOptions={"Subpath": "x"})).image.subpath == "x"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"Type": "image"}, 'invalid mount config for type "image": field Source must not be empty'),
        (
            {"Type": "image", "Source": "a", "ImageOptions": {"Subpath": "../x"}},
            'invalid mount config for type "image": subpath must be a relative path within the volume',
        ),
        (
            {"Type": "image", "Source": "a", "VolumeOptions": {}},
            'VolumeOptions must not be specified on mount type "image"',
        ),
        (
            {"Type": "tmpfs", "ImageOptions": {}},
            'invalid mount config for type "tmpfs": field ImageOptions must not be specified',
        ),
    ],
)
def test_bad_images(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        parse_mount(mount(Target="/i", **fields))
    assert str(refused.value) == message
