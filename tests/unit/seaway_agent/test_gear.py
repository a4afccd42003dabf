"""What a run needs of its node."""

import json
from pathlib import Path
from typing import Any

import pytest

from seaway_agent.gear import cdi_specs, device_edits
from seaway_contracts.containers import DeviceRequest, Resources
from seaway_contracts.errors import Code, SeawayError
from seaway_testing import builders


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
    (tmp_path / "other.yaml").write_text("kind: v.com/y\n")
    assert [spec["kind"] for spec in cdi_specs((tmp_path / "none", tmp_path))] == ["v.com/c"]
    assert "broken.json can't be read" in caplog.text and "other.yaml is YAML" in caplog.text


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
