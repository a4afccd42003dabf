"""Long lives, of which each step is written down when it is acknowledged; afterwards each must have left its traces."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from e2e_rig.waits import eventually

from chaos_rig.attached import Attached
from chaos_rig.client import Client
from chaos_rig.journal import Fate, Journal, Refused, Writers
from chaos_rig.load import lives
from chaos_rig.suite import ChaosSuite

_LOOP = "trap 'exit 9' TERM; trap 'echo >> /data/usr1' USR1; : > /data/ready; while :; do sleep 0.05; done"
_EXEC = "until [ -e /data/ready ]; do sleep 0.02; done; echo >> /data/exec; echo said; exit 3"
_STOPPED, _KILLED, _EXECUTED = 9, 137, 3
_TOLD = {
    "create": ["create"],
    "start": ["start"],
    "update": ["update"],
    "rename": ["rename"],
    "exec": ["exec_die"],
    "signal": ["kill"],
    "stop": ["kill", "die"],
    "again": ["start"],
    "kill": ["kill", "die"],
    "destroy": ["destroy"],
}
"""What is told of each step, in the order of a life."""
_ASIDE = ("exec_create", "exec_start", "stop")
"""`stop`, which may come before `die`, is counted."""

STEPS = (*_TOLD, "tag", "untag")


class Doers(Writers):
    """Clients that never try again. Each life has a volume and an image's name of its own. `lives` are over."""

    lives = 0

    def __init__(self, suite: ChaosSuite, journal: Journal, at_once: int) -> None:
        super().__init__(suite.api, journal, at_once)
        self._volumes = _volumes(suite)

    def _life(self, number: int) -> None:
        name = f"deeds-{number}"
        host = {"NetworkMode": "none", "Binds": [f"{name}:/data"], "CpuShares": _shares(number)}
        body = {"Image": "busybox", "Cmd": ["sh", "-c", _LOOP], "HostConfig": host}
        container = str(self._ask("POST", f"/containers/create?name={name}", body).json()["Id"])
        self._note("create", container, number)
        path = f"/containers/{container}"

        def do(what: str, method: str, path: str, body: object = None) -> None:
            self._step(container, number, what, lambda: self._ask(method, path, body))

        do("start", "POST", f"{path}/start")
        do("update", "POST", f"{path}/update", {"CpuShares": _shares(number) + 1})
        do("tag", "POST", f"/images/busybox/tag?repo={name}&tag=1")
        do("rename", "POST", f"{path}/rename?name={name}-new")
        self._journal.note("asked", container, "exec")
        self._exec(container, attached=number % 2 == 0)
        self._note("exec", container, number)
        do("signal", "POST", f"{path}/kill?signal=USR1")
        mark = self._volumes / name / "_data" / "usr1"
        eventually(mark.exists, "its trace: busybox can lose a signal to one that comes right behind")
        do("stop", "POST", f"{path}/stop?t=30")
        do("again", "POST", f"{path}/start")
        do("untag", "DELETE", f"/images/{name}:1")
        do("kill", "POST", f"{path}/kill")
        if number % 4:
            self._gone(container, number)
        self.lives += 1

    def _gone(self, container: str, number: int) -> None:
        path = f"/containers/{container}"
        code = self._ask("POST", f"{path}/wait").json()["StatusCode"]
        if code != _KILLED:
            self.wrong.append(f"{container}: {code} instead of {_KILLED}")
        self._step(container, number, "destroy", lambda: self._ask("DELETE", path))

    def _exec(self, container: str, *, attached: bool) -> None:
        """To its end."""
        body = {"Cmd": ["sh", "-c", _EXEC], "AttachStdout": attached}
        made = self._ask("POST", f"/containers/{container}/exec", body).json()["Id"]
        if attached:
            one = Attached(self._api, f"/exec/{made}/start")
            one.end()
            if one.output != b"said\n" or one.last_words:
                raise Refused(f"exec {made} broke off: {one.output!r} {one.last_words!r}")
        else:
            self._ask("POST", f"/exec/{made}/start", {"Detach": True})
        shown = eventually(lambda: self._ended(made), f"the end of exec {made}")
        if shown["ExitCode"] != _EXECUTED:
            self.wrong.append(f"exec {made}: {shown}")

    def _ended(self, exec_id: str) -> dict[str, Any]:
        shown: dict[str, Any] = self._ask("GET", f"/exec/{exec_id}/json").json()
        return {} if shown["Running"] else shown


def _volumes(suite: ChaosSuite) -> Path:
    return suite.root / "agent" / suite.node / "volumes"


def _shares(number: int) -> int:
    return 100 + number % 1000


class Traces:
    """What a suite has of such lives."""

    def __init__(self, suite: ChaosSuite, client: Client, since: float) -> None:
        self._volumes = _volumes(suite)
        self._client, self._suite, self._since = client, suite, since

    def missing(self, fates: dict[str, Fate]) -> list[str]:
        """What was acknowledged and isn't so; what is told twice, out of order, or without having been asked for."""
        told = lives(self._client, self._since)
        listed = self._client.steadily("GET", "/images/json").json()
        tags = {tag for image in listed for tag in image["RepoTags"]}
        found = []
        for container, fate in fates.items():
            events = [action.partition(":")[0] for action in told.get(container, ())]
            problems = [*_problems_told(fate, events), *self._problems(container, fate, tags)]
            found += [f"{container}: {problem}; {fate}, told {events}" for problem in problems]
        return found

    def _problems(self, container: str, fate: Fate, tags: set[str]) -> list[str]:
        """Of its image's name, of its volume, and of itself."""
        found = [] if _agree(fate, "tag", f"deeds-{fate.code}:1" in tags, undone="untag") else ["its tag"]
        volume = self._volumes / f"deeds-{fate.code}" / "_data"
        if not volume.is_dir():
            found.append("its volume")
        for step, file in (("exec", "exec"), ("signal", "usr1")):
            times = _lines(volume / file)
            if times > 1 or not _agree(fate, step, times == 1):
                found.append(f"{step} was done {times} times")
        reply = self._client.steadily("GET", f"/containers/{container}/json")
        if not _agree(fate, "create", reply.status == 200, undone="destroy"):
            return [*found, f"inspect says {reply.status}"]
        return found + (_problems_shown(fate, reply.json()) if reply.status == 200 else [])

    def remove(self, fates: dict[str, Fate]) -> None:
        """All of them."""
        self._suite.api.remove_all()
        for fate in fates.values():
            self._client.steadily("DELETE", f"/images/deeds-{fate.code}:1")
        for volume in self._volumes.glob("deeds-*"):
            shutil.rmtree(volume)


def _agree(fate: Fate, step: str, found: bool, undone: str = "") -> bool:
    """Whether what is found may be so, after what was acknowledged and what was only asked for."""
    if undone in fate.done:
        return not found
    if undone == fate.asked or (step == fate.asked and step not in fate.done):
        return True
    return found == (step in fate.done)


def _problems_shown(fate: Fate, body: dict[str, Any]) -> list[str]:
    """What inspect shows."""
    found = []
    if not _agree(fate, "update", body["HostConfig"]["CpuShares"] == _shares(fate.code) + 1):
        found.append(f"update: {body['HostConfig']['CpuShares']} shares")
    if not _agree(fate, "rename", body["Name"] == f"/deeds-{fate.code}-new"):
        found.append(f"rename: {body['Name']}")
    state = body["State"]
    shown = {"running": "up", "created": "created"}.get(state["Status"], state["ExitCode"])
    after = {"create": "created", "start": "up", "stop": _STOPPED, "again": "up", "kill": _KILLED}
    known = [after[step] for step in fate.done if step in after]
    if shown not in (known[-1], after.get(fate.asked)):
        found.append(f"state: {shown}")
    return found


def _problems_told(fate: Fate, events: list[str]) -> list[str]:
    """The events are those of what was acknowledged, or also of what was asked for, in part or in whole."""
    least = [action for step in _TOLD if step in fate.done for action in _TOLD[step]]
    most = [action for step in _TOLD if step in (*fate.done, fate.asked) for action in _TOLD[step]]
    told = [action for action in events if action not in _ASIDE]
    if told[: len(least)] != least or told != most[: len(told)]:
        return ["not what is to be told"]
    if Counter(events)["stop"] not in ((1,) if "stop" in fate.done else (0, 1)):
        return ["stop told wrongly"]
    return []


def _lines(file: Path) -> int:
    return len(file.read_text()) if file.exists() else 0
