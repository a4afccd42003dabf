"""Execs by the keeper itself: in all that can be seen of it, the program is as one that crun has started."""

import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from tests.integration.agent.rig import AgentRig
from tests.integration.agent.test_execs import Execs

from seaway_agent.keeper.keeper import keepers_below
from seaway_contracts.containers import Mount, Namespaces, Resources, Security, Ulimit

pytestmark = pytest.mark.root
_ALL_NODES: Final = Path("/sys/devices/system/node/online")
_NAMESPACES: Final = ("cgroup", "ipc", "mnt", "net", "pid", "uts", "user", "time")
_COUNTED: Final = re.compile(r"^(Tgid|Ngid|Pid|FDSize|SigQ|Vm\w+|Hugetlb\w+|Rss\w+|\w*ctxt\w*)$")
_IDS: Final = re.compile(r"^NS\w+$")
_PIPES: Final = re.compile(r"\[\d+\]")

CONTAINERS: Final[dict[str, dict[str, Any]]] = {
    "plain": {},
    "group-add": {"security": Security(group_add=("100", "7"))},
    "cap-add": {"security": Security(cap_add=("NET_ADMIN", "SYS_TIME"))},
    "cap-drop": {"security": Security(cap_drop=("ALL",))},
    "no-new-privileges": {"security": Security(no_new_privileges=True)},
    "unconfined": {"security": Security(seccomp="unconfined")},
    "unconfined, without new privileges": {"security": Security(seccomp="unconfined", no_new_privileges=True)},
    "read-only": {"security": Security(read_only_rootfs=True)},
    "ulimits": {"ulimits": (Ulimit(name="nofile", soft=99, hard=199), Ulimit(name="locks", soft=5, hard=-1))},
    "a limit of memory": {"resources": Resources(memory=64 << 20, memory_swap=128 << 20)},
    "an OOM score": {"resources": Resources(oom_score_adj=300)},
    "a parent of its cgroup": {"resources": Resources(cgroup_parent="/seaway-other")},
    "host's processes": {"namespaces": Namespaces(pid="host")},
    "host's ipc": {"namespaces": Namespaces(ipc="host")},
    "host's names": {"namespaces": Namespaces(uts="host")},
    "host's cgroups": {"namespaces": Namespaces(cgroup="host")},
    "host's network": {"net": "host"},
}
EXECS: Final[dict[str, dict[str, Any]]] = {
    "root": {},
    "user": {"user": "1000"},
    "user and group": {"user": "1000:100"},
    "workdir": {"workdir": "/tmp"},
    "environment": {"env": ("A=1", "B=two words", "EMPTY=", "PATH=/nowhere:/bin")},
    "privileged": {"privileged": True},
    "privileged user": {"privileged": True, "user": "1000"},
}
COMBINED: Final = [(container, "root") for container in CONTAINERS] + [
    (container, kind)
    for container in ("plain", "no-new-privileges", "cap-drop", "group-add", "a limit of memory")
    for kind in EXECS
    if kind != "root"
]


async def idling(
    rig: AgentRig,
    *,
    by_crun: bool = False,
    ulimits: tuple[Ulimit, ...] = (),
    resources: Resources | None = None,
    **fields: Any,
) -> Execs:
    """A container; where its memory is bound to nodes, be it to all, only crun goes into it."""
    asked = resources or Resources()
    bound = {"cpuset_mems": _ALL_NODES.read_text().strip()} if by_crun else {}
    resources = asked.model_copy(update={"ulimits": ulimits, **bound})
    container = await rig.create(rig.spec("sleep", "1000", resources=resources, **fields))
    await rig.start_container(container)
    return Execs(rig, container)


def process_file(rig: AgentRig, identifier: str) -> Path:
    """What is written for the runtime alone."""
    return rig.run / "x" / identifier / "process.json"


async def seen(execs: Execs, fields: dict[str, Any], *, by_crun: bool) -> dict[str, object]:
    """All that the host sees of an exec that runs."""
    async with execs.attached("sleep", "1000", attach_stdin=True, **fields) as (identifier, _):
        assert process_file(execs.rig, identifier).exists() is by_crun
        pid = (await execs.info(identifier)).status.pid
        await execs.rig.until(lambda: "(sleep) S" in Path(f"/proc/{pid}/stat").read_text())  # crun tells before that
        first = (await execs.rig.inventory(execs.container))[execs.container].status.pid
        found = _seen(pid, first)
        os.kill(pid, signal.SIGKILL)
        assert (await execs.died(identifier))[-1] == "exec_die 137"
    return {key: _without(execs.container, value) for key, value in found.items()}


def _without(container: str, value: object) -> object:
    return value.replace(container, "ID").replace(container[:12], "ID") if isinstance(value, str) else value


def _seen(pid: int, first: int) -> dict[str, object]:
    proc = Path("/proc", str(pid))
    texts = ("limits", "cgroup", "environ", "cmdline", "comm", "oom_score_adj", "coredump_filter")
    more = ("personality", "timerslack_ns", "loginuid", "setgroups", "uid_map", "attr/current", "timens_offsets")
    stat = (proc / "stat").read_text().rpartition(")")[2].split()
    return {
        **{name: _text(proc / name) for name in (*texts, *more)},
        "status": dict(_status(proc)),
        "namespaces": [_same(proc / "ns" / kind, Path(f"/proc/{first}/ns/{kind}")) for kind in _NAMESPACES],
        "mounts": (proc / "mountinfo").read_text() == Path(f"/proc/{first}/mountinfo").read_text(),
        "fds": {fd: _fd(proc / "fd" / fd) for fd in sorted(os.listdir(proc / "fd"))},
        "links": [os.readlink(proc / name) for name in ("cwd", "root", "exe")],
        "parent": stat[1] != str(first) and Path("/proc", stat[1], "comm").read_text(),
        "leads": (stat[2], stat[3], stat[4]) == (str(pid), str(pid), "0"),
        "scheduling": (os.sched_getscheduler(pid), os.sched_getaffinity(pid), os.getpriority(os.PRIO_PROCESS, pid)),
    }


def _same(one: Path, other: Path) -> bool:
    return one.readlink() == other.readlink()


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:  # not every kernel has all of them
        return None


def _status(proc: Path) -> Iterator[tuple[str, object]]:
    for row in (proc / "status").read_text().splitlines():
        name, _, value = row.partition(":")
        if _IDS.match(name):
            yield name, len(value.split())
        elif not _COUNTED.match(name) and name != "PPid":
            yield name, value


def _fd(path: Path) -> tuple[object, ...]:
    about, flags = path.stat(), (path.parents[1] / "fdinfo" / path.name).read_text().splitlines()[1]
    return _PIPES.sub("", os.readlink(path)), about.st_mode, about.st_uid, about.st_gid, flags


@pytest.mark.parametrize(("container", "kind"), COMBINED)
async def test_it_is_as_one_of_cruns(rig: AgentRig, container: str, kind: str) -> None:
    entered, spawned = [
        await seen(await idling(rig, by_crun=by_crun, **CONTAINERS[container]), EXECS[kind], by_crun=by_crun)
        for by_crun in (False, True)
    ]
    assert list(entered["fds"]) == ["0", "1", "2"]  # type: ignore[call-overload]
    for key, value in spawned.items():
        assert entered[key] == value, key


# --- what is asked for, and what comes of it


PROGRAMS: Final[dict[str, dict[str, Any]]] = {
    "by the path": {"args": ("echo", "hi")},
    "nowhere in the path": {"args": ("nope",)},
    "a path that says nothing": {"args": ("echo", "hi"), "env": ("PATH=",)},
    "a path with an empty part": {"args": ("own",), "env": ("PATH=:/nowhere",), "workdir": "/x"},
    "what can't be run stands first": {"args": ("twice",), "env": ("PATH=/x/dull:/x/good",)},
    "what isn't a program stands first": {"args": ("thrice",), "env": ("PATH=/x/dull:/x/good",)},
    "relative": {"args": ("./own",), "workdir": "/x"},
    "relative, below": {"args": ("x/own",), "workdir": "/"},
    "without a shebang": {"args": ("/x/bare",)},
    "with an interpreter that isn't there": {"args": ("/x/lost",)},
    "not to be read": {"args": ("/x/secret/echo", "hi"), "user": "1000"},
    "not to be run": {"args": ("/etc/notes",)},
    "a directory": {"args": ("/x",)},
    "nothing": {"args": ("",)},
    "a directory that isn't there": {"args": ("true",), "workdir": "/nope"},
    "a directory that is a file": {"args": ("true",), "workdir": "/etc/notes"},
    "a directory that its user may not enter": {"args": ("sh", "-c", "pwd"), "workdir": "/x/closed", "user": "1000"},
    "a directory by a link of the kernel's": {"args": ("sh", "-c", "pwd"), "workdir": "/proc/1/root/tmp"},
    **{f"descriptor {n}'s directory": {"args": ("pwd",), "workdir": f"/proc/self/fd/{n}"} for n in range(10)},
    **{f"what is above descriptor {n}": {"args": ("pwd",), "workdir": f"/proc/self/fd/{n}/.."} for n in range(3, 8)},
    **{f"descriptor {n}": {"args": (f"/proc/self/fd/{n}",)} for n in range(3, 8)},
    "itself": {"args": ("/proc/self/exe", "echo", "hi")},
    "a script of itself": {"args": ("/x/trap",)},
    "signs": {"args": ("echo", "\u00e4\u20ac\U0001f600"), "env": ("B=\u00e4\n\x01",)},
    "a long argument": {"args": ("sh", "-c", "echo ${#1}", "sh", "x" * 100_000)},
    "many arguments": {"args": ("sh", "-c", "echo $#", "sh", *map(str, range(9000)))},
    "an environment that says it twice": {"args": ("sh", "-c", "echo $A"), "env": ("A=1", "A=2")},
    "no home": {"args": ("sh", "-c", "echo $HOME"), "env": ("HOME",)},
}


@pytest.fixture
def programs(tmp_path: Path) -> Mount:
    """At /x."""
    place = tmp_path / "programs"
    for directory in ("dull", "good", "closed", "secret"):
        (place / directory).mkdir(parents=True)
    own = "#!/bin/sh\necho own\n"
    texts = {"own": own, "bare": "echo bare\n", "lost": "#!/lost\n", "trap": "#!/proc/self/exe\n", "dull/thrice": "?\n"}
    for name, text in {**texts, "dull/twice": own, "good/twice": own, "good/thrice": own}.items():
        (place / name).write_text(text)
        (place / name).chmod(0o644 if name == "dull/twice" else 0o755)
    shutil.copy("/bin/busybox", place / "secret/echo")
    (place / "secret/echo").chmod(0o711)
    (place / "closed").chmod(0o700)
    for directory in (place, tmp_path, *tmp_path.parents[:2]):  # pytest's own are closed to other users
        directory.chmod(directory.stat().st_mode | 0o055)
    return Mount(type="bind", source=str(place), target="/x")


async def test_what_comes_of_it_is_as_with_crun(rig: AgentRig, programs: Mount) -> None:
    entered, spawned = [await idling(rig, by_crun=by_crun, mounts=(programs,)) for by_crun in (False, True)]
    for name, fields in PROGRAMS.items():
        found = [await outcome(execs, **fields) for execs in (entered, spawned)]
        assert found[0] == found[1], name
        await rig.until(lambda: len(keepers_below(rig.run)) == 1)  # who has its memory: nobody is left on the way


async def outcome(execs: Execs, args: tuple[str, ...], **fields: Any) -> tuple[dict[int, bytes], int | None]:
    identifier = await execs.make(*args, attach_stdin=True, **fields)
    said = await execs.output(identifier)
    await execs.rig.until(lambda: _has_ended(execs, identifier))
    return _streams(said), (await execs.info(identifier)).status.exit_code


def _streams(frames: bytes) -> dict[int, bytes]:
    found = {1: b"", 2: b""}
    while frames:
        size = int.from_bytes(frames[4:8], "big")
        found[frames[0]] += frames[8 : 8 + size]
        frames = frames[8 + size :]
    return found


async def _has_ended(execs: Execs, identifier: str) -> bool:
    return (await execs.info(identifier)).status.exit_code is not None
