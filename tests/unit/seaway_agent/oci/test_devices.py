"""Device nodes and the rules that allow them."""

from dataclasses import replace

import pytest

from seaway_agent.oci.devices import BadDeviceRule, HostDevice, nodes, rules
from seaway_contracts.containers import Resources, Security
from seaway_testing import builders

FUSE = HostDevice("/dev/fuse", "c", 10, 229, 0o20666, 0, 0, "rw")
DISK = HostDevice("/dev/xda", "b", 8, 0, 0o60660, 0, 6)


def test_a_device_keeps_mode_and_owner_but_not_its_type_bits() -> None:
    assert nodes(builders.spec(), [FUSE, DISK]) == [
        {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666, "uid": 0, "gid": 0},
        {"path": "/dev/xda", "type": "b", "major": 8, "minor": 0, "fileMode": 0o660, "uid": 0, "gid": 6},
    ]


def test_all_is_denied_first_and_the_usual_devices_are_allowed() -> None:
    table = rules(builders.spec(), ())
    assert table[0] == {"allow": False, "access": "rwm"}
    allowed = [(rule["type"], rule.get("major"), rule.get("minor"), rule["access"]) for rule in table[1:]]
    makes = [("c", None, None, "m"), ("b", None, None, "m")]
    memory = [("c", 1, minor, "rwm") for minor in (3, 5, 7, 8, 9)]
    assert allowed == makes + memory + [
        ("c", 5, 0, "rwm"),
        ("c", 5, 1, "rwm"),
        ("c", 5, 2, "rwm"),
        ("c", 136, None, "rwm"),
    ]


def test_a_device_is_allowed_what_was_asked_for_it() -> None:
    assert rules(builders.spec(), [FUSE])[-1] == {"allow": True, "type": "c", "access": "rw", "major": 10, "minor": 229}


def test_permissions_that_no_kernel_knows_allow_nothing() -> None:
    odd = [replace(FUSE, permissions=given) for given in ("xyz", "zr")]
    assert [rule["access"] for rule in rules(builders.spec(), odd)][-2:] == ["rwm", "r"]


def test_privileged_may_do_everything() -> None:
    spec = builders.spec(security=Security(privileged=True))
    assert rules(spec, [FUSE]) == [{"allow": True, "access": "rwm"}]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("c 10:* rwm", {"allow": True, "type": "c", "access": "rwm", "major": 10}),
        ("b *:7 r", {"allow": True, "type": "b", "access": "r", "minor": 7}),
        ("a *:* rw", {"allow": True, "type": "a", "access": "rw"}),
    ],
)
def test_a_users_rule(text: str, rule: dict[str, object]) -> None:
    spec = builders.spec(resources=Resources(device_cgroup_rules=(text,)))
    assert rules(spec, ())[-1] == rule


@pytest.mark.parametrize("text", ["", "c 1:3", "x 1:3 r", "c 1:3 q", "c 1:3 r extra", "c -1:3 r", "c 1:3 rwmr"])
def test_a_rule_that_is_none(text: str) -> None:
    with pytest.raises(BadDeviceRule, match="invalid device cgroup rule format"):
        rules(builders.spec(resources=Resources(device_cgroup_rules=(text,))), ())
