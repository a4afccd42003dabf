"""CDI: which names requests for devices come to, and what the files do for them."""

from typing import Any

import pytest

from seaway_agent.oci.cdi import DeviceRefused, edits_for, kinds_of, names_for
from seaway_agent.oci.mounts import HostMount
from seaway_contracts.containers import Device, DeviceRequest

GPU = (("gpu",),)
THERE = {"nvidia.com/gpu": ["0", "1", "10", "2", "all", "GPU-abc"]}


def request(**fields: Any) -> DeviceRequest:
    return DeviceRequest(**fields)


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        (request(driver="cdi", ids=("a.b/c=d", "a.b/c=e", "a.b/c=d")), ("a.b/c=d", "a.b/c=e")),
        (request(count=-1, capabilities=GPU), ("nvidia.com/gpu=all",)),
        (request(driver="nvidia", count=3, capabilities=(("gpu", "compute"),)),
         ("nvidia.com/gpu=0", "nvidia.com/gpu=1", "nvidia.com/gpu=2")),
        (request(ids=("GPU-abc",), capabilities=GPU), ("nvidia.com/gpu=GPU-abc",)),
    ],
)  # fmt: skip
def test_names(asked: DeviceRequest, names: tuple[str, ...]) -> None:
    assert names_for([asked], THERE) == names


def test_all_gpus_where_the_file_has_no_word_for_it() -> None:
    found = names_for([request(count=-1, capabilities=GPU)], {"nvidia.com/gpu": ["0", "1"]})
    assert found == ("nvidia.com/gpu=0", "nvidia.com/gpu=1")


@pytest.mark.parametrize(
    ("asked", "kinds", "text"),
    [
        (request(count=-1, capabilities=GPU), {}, 'could not select device driver "" with capabilities: [[gpu]]'),
        (request(driver="nvidia", capabilities=GPU), {},
         'could not select device driver "nvidia" with capabilities: [[gpu]]'),
        (request(count=1), THERE, 'could not select device driver "" with capabilities: []'),
        (request(capabilities=(("gpu", "compute"), ("x",))), {},
         'could not select device driver "" with capabilities: [[gpu compute] [x]]'),
        (request(driver="x", capabilities=GPU), THERE, 'could not select device driver "x"'),
        (request(count=2, ids=("0",), capabilities=GPU), THERE, "cannot set both Count and DeviceIDs"),
        (request(count=9, capabilities=GPU), THERE, "9 GPUs are asked for, and there are 4"),
        (request(driver="cdi", count=1), {}, "invalid count in CDI device request"),
    ],
)  # fmt: skip
def test_refusals(asked: DeviceRequest, kinds: dict[str, list[str]], text: str) -> None:
    with pytest.raises(DeviceRefused) as refused:
        names_for([asked], kinds)
    assert text in str(refused.value)


FILE: dict[str, Any] = {
    "kind": "vendor.com/class",
    "containerEdits": {"env": ["ALL=1"], "hooks": [{"hookName": "createContainer", "path": "/bin/x", "args": ["x"]}]},
    "devices": [
        {
            "name": "one",
            "containerEdits": {
                "env": ["ONE=1"],
                "deviceNodes": [{"path": "/dev/one"}, {"path": "/dev/b", "hostPath": "/dev/a", "permissions": "r"}],
                "mounts": [{"hostPath": "/h", "containerPath": "/c", "options": ["ro"]}],
                "additionalGids": [7],
            },
        },
        {"name": "two", "containerEdits": {"mounts": [{"hostPath": "/h", "containerPath": "/c"}]}},
    ],
}


def test_a_files_common_edits_come_once() -> None:
    edits = edits_for(["vendor.com/class=one", "vendor.com/class=two"], [FILE])
    assert edits.env == ("ALL=1", "ONE=1")
    assert edits.devices == (
        Device(host_path="/dev/one", container_path="/dev/one"),
        Device(host_path="/dev/a", container_path="/dev/b", permissions="r"),
    )
    assert edits.mounts == (HostMount("/h", "/c", ("ro",)), HostMount("/h", "/c", ("rbind", "rprivate")))
    assert edits.hooks == {"createContainer": ({"path": "/bin/x", "args": ["x"]},)}
    assert edits.groups == (7,)


@pytest.mark.parametrize("name", ["vendor.com/class=three", "vendor.com/other=one", "../x=one", "one"])
def test_what_no_file_has(name: str) -> None:
    with pytest.raises(DeviceRefused) as refused:
        edits_for([name, "vendor.com/class=one"], [FILE])
    assert str(refused.value) == f"CDI device injection failed: unresolvable CDI devices {name}"


def test_a_hook_that_oci_does_not_know() -> None:
    bad = FILE | {"containerEdits": {"hooks": [{"hookName": "never", "path": "/x"}]}}
    with pytest.raises(DeviceRefused, match="invalid hook name 'never'"):
        edits_for(["vendor.com/class=one"], [bad])


def test_kinds() -> None:
    assert kinds_of([FILE, FILE | {"devices": [{"name": "x"}]}]) == {"vendor.com/class": ["one", "two", "x"]}
