"""Options of the local volume driver, in dockerd's words."""

import pytest

from seaway_docker.errors import InvalidParameter
from seaway_docker.filters import Filters
from seaway_docker.object_filters import VolumeFacts, volume_matches
from seaway_docker.volumes import check_local_options


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"type": "tmpfs", "device": "tmpfs"},
        {"type": "", "device": "", "o": ""},
        {"type": "nfs", "device": ":/x", "o": "addr=10.0.0.1,rw"},
        {"size": "0"},
        {"type": "cifs", "device": "//host/share", "o": "port=4450"},
    ],
)
def test_options_that_are_taken(options: dict[str, str]) -> None:
    check_local_options(options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"foo": "1"}, 'invalid option: "foo"'),
        ({"node": "n1"}, 'invalid option: "node"'),
        ({"type": "nfs"}, 'missing required option: "device"'),
        ({"device": "/x"}, 'missing required option: "type"'),
        ({"o": "bind"}, 'missing required option: "device"'),
        ({"o": "bind", "device": "/x"}, 'missing required option: "type"'),
        ({"size": "10m"}, "quota size requested but no quota support"),
        ({"type": "cifs", "device": "//host:445/x"}, "port not allowed in CIFS device URL, include 'port' in 'o='"),
        ({"type": "cifs", "device": "//[h/x"}, "error parsing mount device url: '//[h/x' has no valid host"),
        ({"type": "cifs", "device": "//host:x/x"}, "port not allowed in CIFS device URL, include 'port' in 'o='"),
        ({"type": "tmpfs", "device": "a\0b"}, "an option has a NUL character"),
        (
            {"type": "tmpfs", "device": "tmpfs", "o": "x" * 4096},
            "option o is longer than 4095 bytes, of which the kernel takes no more",
        ),
        ({"size": "many"}, "invalid size: 'many'"),
        ({"size": "-1"}, "invalid size: '-1'"),
    ],
)
def test_options_that_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        check_local_options(options)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("key", "values", "matches"),
    [
        ("name", ("dat",), True),
        ("name", ("^ata",), False),
        ("driver", ("local", "other"), True),
        ("driver", ("loc",), False),
        ("label", ("a",), True),
        ("label", ("a=1", "b"), False),
        ("dangling", ("true",), False),
        ("dangling", ("0",), True),
    ],
)
def test_filters(key: str, values: tuple[str, ...], matches: bool) -> None:
    volume = VolumeFacts("data", labels={"a": "1"}, in_use=True)
    assert volume_matches(Filters({key: values}), volume) is matches
