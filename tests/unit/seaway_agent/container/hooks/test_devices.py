"""Devices that a container asks for, by CDI and of the host."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.seaway_agent.container.hooks.peers import NOTHING, request

from seaway_agent.container.hooks.devices import DevicesHook, device_edits
from seaway_agent.runtime.host_devices import cdi_specs
from seaway_contracts.containers import Device, DeviceLimit, DeviceRequest, Resources
from seaway_contracts.errors import Code, Reason, SeawayError
from seaway_testing import builders

NVIDIA = """\
---
cdiVersion: 0.5.0
kind: nvidia.com/gpu
containerEdits:
  deviceNodes:
  - path: /dev/nvidiactl
  env:
  - NVIDIA_VISIBLE_DEVICES=void
  hooks:
  - args:
    - nvidia-cdi-hook
    - update-ldcache
    hookName: createContainer
    path: /usr/bin/nvidia-cdi-hook
  mounts:
  - containerPath: /usr/lib/libcuda.so.1
    hostPath: /usr/lib/libcuda.so.535
    options:
    - ro
    - nosuid
    - bind
devices:
- name: "0"
  containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
- name: all
  containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
"""


def file(directory: Path, name: str, **fields: Any) -> None:
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(json.dumps({"kind": "v.com/c", "devices": [{"name": "one"}]} | fields))


def test_a_later_directory_goes_before_an_earlier_one(tmp_path: Path) -> None:
    first, second = tmp_path / "etc", tmp_path / "run"
    file(first, "a.json", containerEdits={"env": ["A=first"]})
    file(second, "b.json", containerEdits={"env": ["A=second"]})
    asked = Resources(device_requests=(DeviceRequest(driver="cdi", ids=("v.com/c=one",)),))
    assert device_edits(builders.spec(resources=asked), (first, second)).env == ("A=second",)


def test_files_that_can_not_be_read_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file(tmp_path, "good.json")
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "broken.yaml").write_text("kind: [")
    (tmp_path / "text.yaml").write_text("just a text")
    (tmp_path / "run.yaml").write_text("!!python/object/apply:os.getcwd []")
    assert [spec["kind"] for spec in cdi_specs((tmp_path / "none", tmp_path))] == ["v.com/c"]
    for name in ("broken.json", "broken.yaml", "run.yaml"):
        assert f"{name} can't be read" in caplog.text


def test_a_file_in_yaml_as_nvidias_tool_writes_it(tmp_path: Path) -> None:
    (tmp_path / "nvidia.yaml").write_text(NVIDIA)
    asked = Resources(device_requests=(DeviceRequest(count=1, capabilities=(("gpu",),)),))
    edits = device_edits(builders.spec(resources=asked), (tmp_path,))
    assert edits.env == ("NVIDIA_VISIBLE_DEVICES=void",)
    assert [device.container_path for device in edits.devices] == ["/dev/nvidiactl", "/dev/nvidia0"]
    (hook,) = edits.hooks["createContainer"]
    assert hook["args"] == ["nvidia-cdi-hook", "update-ldcache"]
    assert [mount.target for mount in edits.mounts] == ["/usr/lib/libcuda.so.1"]


@pytest.mark.parametrize(
    "fields", [{"devices": [{}]}, {"devices": [{"name": "one", "containerEdits": {"mounts": [{}]}}]}]
)
def test_a_broken_file_fails_the_start(tmp_path: Path, fields: dict[str, Any]) -> None:
    file(tmp_path, "a.json", **fields)
    asked = Resources(device_requests=(DeviceRequest(driver="cdi", ids=("v.com/c=one",)),))
    with pytest.raises(SeawayError) as refused:
        device_edits(builders.spec(resources=asked), (tmp_path,))
    assert refused.value.code is Code.INTERNAL


def test_who_asks_for_nothing_gets_nothing(tmp_path: Path) -> None:
    file(tmp_path, "a.json", containerEdits={"env": ["A=1"]})
    assert device_edits(builders.spec(), (tmp_path,)).env == ()


def test_the_hook_contributes_what_cdi_files_say(tmp_path: Path) -> None:
    file(tmp_path, "a.json", containerEdits={"env": ["A=1"], "mounts": [{"hostPath": "/h", "containerPath": "/c"}]})
    asked = Resources(device_requests=(DeviceRequest(driver="cdi", ids=("v.com/c=one",)),))
    parts = DevicesHook((tmp_path,)).prepare(request(resources=asked), NOTHING)
    assert (parts.late_env, parts.env) == (("A=1",), ())
    assert [(mount.source, mount.target) for mount in parts.mounts] == [("/h", "/c")]


def test_a_throttled_device_must_be_a_block_device(tmp_path: Path) -> None:
    limit = DeviceLimit(path=str(tmp_path), value=1)
    with pytest.raises(SeawayError, match="is not a block device"):
        DevicesHook(()).prepare(request(resources=Resources(blkio_read_bps=(limit,))), NOTHING)


@pytest.mark.parametrize("name", ["device", "limit"])
def test_a_device_that_is_not_there_has_a_reason(tmp_path: Path, name: str) -> None:
    path = str(tmp_path / "none")
    asked = {
        "device": Resources(devices=(Device(host_path=path, container_path="/dev/x"),)),
        "limit": Resources(blkio_read_bps=(DeviceLimit(path=path, value=1),)),
    }
    with pytest.raises(SeawayError, match=r"none.*: no such file or directory") as refused:
        DevicesHook(()).prepare(request(resources=asked[name]), NOTHING)
    assert (refused.value.code, refused.value.reason) == (Code.INTERNAL, Reason.NO_SUCH_FILE)


def test_a_device_that_is_none_has_no_reason(tmp_path: Path) -> None:
    path = tmp_path / "plain"
    path.touch()
    asked = Resources(devices=(Device(host_path=str(path), container_path="/dev/x"),))
    with pytest.raises(SeawayError, match="not a device node") as refused:
        DevicesHook(()).prepare(request(resources=asked), NOTHING)
    assert refused.value.reason is None
