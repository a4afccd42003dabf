import resource
from typing import Any, Final

import pytest

from seaway_agent.execs.entry import Enterable, enterable, entry_of, is_safe
from seaway_agent.kernel.seccomp_bpf import ANNOTATION
from seaway_contracts.containers import Resources

Json = dict[str, Any]
_ALL: Final = 0x02000000 | 0x04000000 | 0x08000000 | 0x20000000 | 0x40000000 | 0x00020000


def run(**changes: Any) -> Json:
    """A configuration; `process` and `linux` are changed in it, all else replaced."""
    kinds = ("pid", "network", "ipc", "uts", "mount", "cgroup")
    return {
        "process": {"capabilities": {"bounding": ["CAP_CHOWN"]}, **changes.pop("process", {})},
        "annotations": {ANNOTATION: "AAAA", "mine": "too"},
        "linux": {
            "namespaces": [{"type": kind} for kind in kinds],
            "cgroupsPath": "/seaway/c",
            **changes.pop("linux", {}),
        },
        **changes,
    }


def process(**changes: Any) -> Json:
    return {
        "args": ["true"],
        "cwd": "/",
        "env": ["PATH=/bin", "HOME=/root"],
        "user": {"uid": 0, "gid": 0},
        **changes,
    }


RUN: Final = Enterable(_ALL, "/seaway/c", filtered=True)


def test_a_run_that_can_be_gone_into() -> None:
    assert enterable(run()) == RUN


def test_without_a_filter_and_with_the_hosts_namespaces() -> None:
    section = {"namespaces": [{"type": "mount"}, {"type": "ipc", "path": "/proc/7/ns/ipc"}]}
    assert enterable(run(annotations={}, linux=section)) == Enterable(0x08020000, "/seaway/c", filtered=False)
    config = run(linux=section)
    del config["annotations"]
    assert enterable(config) == Enterable(0x08020000, "/seaway/c", filtered=False)


@pytest.mark.parametrize(
    "changes",
    [
        {"process": {"capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYS_PTRACE"]}}},
        {"linux": {"seccomp": {}}},
        {"annotations": {"run.oci.keep_original_groups": "1"}},
        {"linux": {"namespaces": [{"type": "mount"}, {"type": "user"}]}},
        {"linux": {"namespaces": [{"type": "mount"}, {"type": "time"}]}},
        {"linux": {"namespaces": [{"type": "pid"}]}},
        {"linux": {"namespaces": [{"type": "mount"}, {"type": "pid", "path": "/proc/7/ns/pid"}]}},
    ],
)
def test_a_run_that_only_its_runtime_may_go_into(changes: Json) -> None:
    assert enterable(run(**changes)) is None


@pytest.mark.parametrize(
    ("resources", "safe"),
    [
        (Resources(), True),
        (Resources(memory=1 << 20, nano_cpus=10**9, cpuset_cpus="0", oom_score_adj=-1, cgroup_parent="/limited"), True),
        (Resources(cpuset_mems="0"), False),
    ],
)
def test_where_memory_may_be_shared_for_a_moment(resources: Resources, safe: bool) -> None:
    assert is_safe(resources) is safe


def test_all_that_is_said_of_a_process() -> None:
    asked = process(
        args=["sh", "-c", "x"],
        cwd="/tmp",
        env=["PATH=/bin", "HOME=/", "A=b=c", "E="],
        user={"uid": 1, "gid": 2, "additionalGids": [2, 3], "umask": 0o77},
        capabilities={
            "bounding": ["CAP_CHOWN", "CAP_SYS_ADMIN"],
            "permitted": ["CAP_CHOWN"],
            "effective": ["CAP_DAC_OVERRIDE"],
            "inheritable": [],
        },
        rlimits=[
            {"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2},
            {"type": "RLIMIT_LOCKS", "soft": -1, "hard": (1 << 64) - 1},
        ],
        noNewPrivileges=True,
        apparmorProfile="p",
        oomScoreAdj=0,
        terminal=False,
    )
    entry = entry_of(RUN, asked, ("/a", "/b"), "/filter")
    assert entry is not None
    assert (entry.namespaces, entry.cgroups, entry.seccomp, entry.apparmor) == (_ALL, ["/a", "/b"], "/filter", "p")
    assert (entry.args, entry.cwd) == (["sh", "-c", "x"], "/tmp")
    assert entry.env == {"PATH": "/bin", "HOME": "/", "A": "b=c", "E": ""}
    assert (entry.uid, entry.gid, entry.groups, entry.umask) == (1, 2, [2, 3], 0o77)
    assert (entry.bounding, entry.permitted, entry.effective, entry.inheritable) == (1 | 1 << 21, 1, 2, 0)
    assert entry.rlimits == [(resource.RLIMIT_NOFILE, 1, 2), (10, (1 << 64) - 1, (1 << 64) - 1)]
    assert entry.no_new_privileges


def test_what_is_not_said() -> None:
    entry = entry_of(Enterable(_ALL, "/c", filtered=False), process(), (), "/filter")
    assert entry is not None
    assert (entry.seccomp, entry.apparmor, entry.groups, entry.umask, entry.rlimits) == ("", "", [], 0o022, [])
    assert (entry.bounding, entry.no_new_privileges) == (0, False)


@pytest.mark.parametrize(
    "changes",
    [
        {"terminal": True},
        {"consoleSize": {"height": 1, "width": 1}},
        {"ioPriority": {}},
        {"selinuxLabel": "x"},
        {"capabilities": {"ambient": ["CAP_CHOWN"]}},
        {"env": ["PATH=/bin"]},
        {"env": ["PATH=/bin", "HOME=/", "A=1", "A=2"]},
        {"env": ["PATH=/bin", "HOME=/", "A"]},
        {"env": ["PATH=/bin", "HOME=/", "=A"]},
        {"env": ["HOME=/"]},
        {"env": ["PATH=", "HOME=/"]},
        {"env": ["PATH=/bin:", "HOME=/"]},
        {"args": []},
        {"args": [""], "env": ["HOME=/"]},
    ],
)
def test_what_only_the_runtime_may_run(changes: Json) -> None:
    assert entry_of(RUN, process(**changes), (), "") is None


def test_a_program_with_its_path_needs_none() -> None:
    assert entry_of(RUN, process(args=["./a"], env=["HOME=/"]), (), "") is not None


def test_limits_have_the_kernels_numbers() -> None:
    names = [name for name in dir(resource) if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"]
    asked = process(rlimits=[{"type": name, "soft": 0, "hard": 0} for name in names])
    entry = entry_of(RUN, asked, (), "")
    assert entry is not None
    assert [number for number, _, _ in entry.rlimits] == [getattr(resource, name) for name in names]
