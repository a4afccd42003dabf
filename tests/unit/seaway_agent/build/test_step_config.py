"""What a step's runtime gets, whatever the builder asked for."""

from dataclasses import replace
from typing import Any

import pytest

from seaway_agent.build.step_config import StepRefused, StepRules, confined
from seaway_agent.oci import capabilities

NAME = "ab" * 32
RULES = StepRules(
    "/seaway/x.builds/b", "/proc/1/fd/9", "/w", ("/w", "/store"), seccomp={"f": 1}, limits={"memory": {"limit": 7}}
)
ASKED: dict[str, Any] = {
    "process": {
        "args": ["sh"], "cwd": "/", "env": ["A=b", "HOSTNAME=old"], "user": {"uid": 5}, "terminal": True,
        "capabilities": {"bounding": ["CAP_SYS_ADMIN"]}, "rlimits": [{"type": "RLIMIT_NPROC"}], "noNewPrivileges": True,
    },
    "root": {"path": "/w/rootfs", "readonly": True},
    "hooks": {"prestart": [{"path": "/bin/evil"}]},
    "annotations": {"run.oci.handler": "evil"},
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rprivate", "rw"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["size=64k"]},
        {"destination": "/etc/hosts", "type": "bind", "source": "/w/old", "options": ["rbind"]},
        {"destination": "/run/.containerenv", "type": "bind", "source": "/w/env", "options": ["rbind"]},
        {"destination": "/cache", "type": "bind", "source": "/w/tmp/cache", "options": ["rbind"]},
    ],
    "linux": {
        "namespaces": [{"type": "mount"}, {"type": "user"}], "devices": [{"path": "/dev/net/tun"}], "maskedPaths": [],
        "resources": {"devices": [{"allow": True, "access": "rwm"}]},
    },
}  # fmt: skip


def test_it_is_confined_as_a_container() -> None:
    config = confined(ASKED, NAME, RULES)
    process, linux = config["process"], config["linux"]
    assert (process["args"], process["user"], process["terminal"]) == (["sh"], {"uid": 5}, False)
    assert process["env"] == ["A=b", f"HOSTNAME={NAME[:12]}"]
    assert set(process["capabilities"]["bounding"]) == set(capabilities.DEFAULT)
    assert (process["rlimits"], config.get("hooks"), config["annotations"]) == ([], None, {})
    assert linux["cgroupsPath"] == f"/seaway/x.builds/b/{NAME}"
    assert {"type": "network", "path": "/proc/1/fd/9"} in linux["namespaces"]
    assert {"user", "time"}.isdisjoint(one["type"] for one in linux["namespaces"])
    assert (linux["seccomp"], linux["resources"]["memory"], linux.get("devices")) == ({"f": 1}, {"limit": 7}, None)
    assert linux["resources"]["devices"][0] == {"allow": False, "access": "rwm"}
    assert "/proc/kcore" in linux["maskedPaths"] and "/proc/sys" in linux["readonlyPaths"]


def test_its_mounts() -> None:
    mounts = {one["destination"]: one for one in confined(ASKED, NAME, RULES)["mounts"]}
    assert mounts["/sys/fs/cgroup"]["options"] == ["rprivate", "ro"]
    assert mounts["/etc/hosts"]["source"] == "/w/hosts"
    assert "/run/.containerenv" not in mounts
    assert mounts["/cache"]["source"] == "/w/tmp/cache"


@pytest.mark.parametrize("source", ["/etc", "/", "", "/w2/x", "/storex", "/caches/a/b"])
def test_nothing_else_of_the_node_is_mounted(source: str) -> None:
    mount = {"destination": "/x", "type": "bind", "source": source, "options": ["rbind"]}
    with pytest.raises(StepRefused):
        confined(
            {**ASKED, "mounts": [mount]}, NAME, replace(RULES, sources=("/w", "/store", "/caches"), shared="/caches")
        )


def test_a_cache_is_mounted_whole() -> None:
    mount = {"destination": "/x", "type": "bind", "source": "/caches/a", "options": ["rbind"]}
    rules = replace(RULES, sources=("/caches",), shared="/caches")
    assert mount in confined({**ASKED, "mounts": [mount]}, NAME, rules)["mounts"]


@pytest.mark.parametrize(
    ("network", "asked", "expected"),
    [
        (None, [], []),
        ("", [], [{"type": "network"}]),
        ("/n", [{"type": "network"}], [{"type": "network"}]),
        ("/n", [{"type": "network", "path": "/proc/1/ns/net"}], [{"type": "network"}]),
    ],
)
def test_its_network(network: str | None, asked: list[Any], expected: list[Any]) -> None:
    rules = StepRules("/c", network, "/w", ("/w",), shm_size=5)
    config = confined({**ASKED, "linux": {"namespaces": asked}}, NAME, rules)
    assert [one for one in config["linux"]["namespaces"] if one["type"] == "network"] == expected
    assert next(one for one in config["mounts"] if one["destination"] == "/dev/shm")["options"] == ["size=5"]
