"""Hooks in order: what they contribute, and what is undone when one of them fails."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.seaway_agent.container.hooks.peers import request

from seaway_agent.container.hook import Hook, Planning, RunHooks, RunRequest
from seaway_agent.oci.mounts import HostMount
from seaway_agent.runtime.contribution import Contribution
from seaway_agent.runtime.run import ContainerRun
from seaway_contracts.containers import Mount
from seaway_contracts.errors import SeawayError, internal
from seaway_kit import tracing
from seaway_testing import builders
from seaway_testing.collector import INTERNAL, traced

ID = builders.container_id(1)


class Recording(Hook):
    """Records what is asked of it; fails as told."""

    def __init__(self, name: str, calls: list[str], *, fails: str = "") -> None:
        self.seen: tuple[str, ...] = ()
        self._name = name
        self._calls = calls
        self._fails = fails

    async def prepare(self, request: RunRequest, before: Contribution) -> Contribution:
        self._say("prepare")
        self.seen = before.env
        return Contribution(env=(self._name,))

    def created(self, container: str, run: ContainerRun) -> None:
        self._say("created")

    async def undo(self, container: str) -> None:
        self._say("undo")

    def _say(self, what: str) -> None:
        self._calls.append(f"{what} {self._name}")
        if self._fails == what:
            raise internal(f"{self._name} can't {what}")


async def test_each_sees_what_those_before_it_have_contributed() -> None:
    calls: list[str] = []
    hooks = [Recording(name, calls) for name in "abc"]
    parts = await RunHooks(hooks).prepare(request())
    assert parts == Contribution(env=("a", "b", "c"))
    assert [hook.seen for hook in hooks] == [(), ("a",), ("a", "b")]


async def test_each_is_a_step_of_the_trace() -> None:
    calls: list[str] = []
    with traced() as collector, tracing.span("launch"):
        await RunHooks([Recording("a", calls), Planning(())]).prepare(request())
    launch = collector.one("launch", INTERNAL)
    steps = [(span.name, span.parent) for span in collector.spans if span is not launch]
    assert steps == [("prepare recording", launch.span_id), ("prepare planning", launch.span_id)]


async def test_undo_goes_backwards() -> None:
    calls: list[str] = []
    hooks = RunHooks([Recording(name, calls) for name in "abc"])
    hooks.created(ID, ContainerRun(1, -1, -1, child=False))
    await hooks.undo(ID)
    assert calls == ["created a", "created b", "created c", "undo c", "undo b", "undo a"]


async def test_where_one_fails_it_and_those_before_it_are_undone() -> None:
    calls: list[str] = []
    hooks = RunHooks([Recording("a", calls), Recording("b", calls, fails="prepare"), Recording("c", calls)])
    with pytest.raises(SeawayError, match="b can't prepare"):
        await hooks.prepare(request())
    assert calls == ["prepare a", "prepare b", "undo b", "undo a"]


async def test_undo_goes_on_past_errors_and_names_them() -> None:
    calls: list[str] = []
    hooks = RunHooks([Recording("a", calls), Recording("b", calls, fails="undo"), Recording("c", calls)])
    with pytest.raises(SeawayError, match="Recording: b can't undo"):
        await hooks.undo(ID)
    assert calls == ["undo c", "undo b", "undo a"]


async def test_a_bug_in_an_undo_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Hook):
        async def undo(self, container: str) -> None:
            raise KeyError(container)

    calls: list[str] = []
    with pytest.raises(SeawayError, match="Broken"):
        await RunHooks([Recording("a", calls), Broken()]).undo(ID)
    assert calls == ["undo a"]
    assert "Broken can't be undone" in caplog.text


class Mounting:
    """Contributes a mount; records the thread in which it does."""

    def __init__(self, source: str, thread: Callable[[], int], threads: set[int]) -> None:
        self._source = source
        self._thread = thread
        self._threads = threads

    def prepare(self, request: RunRequest, before: Contribution) -> Contribution:
        self._threads.add(self._thread())
        return Contribution(mounts=(HostMount(self._source, f"/{len(before.mounts)}", ()),))


@pytest.mark.parametrize("mounts", [(), (Mount(type="bind", source="/s", target="/t"),)])
async def test_planning_hooks_share_one_change_of_threads(mounts: tuple[Mount, ...]) -> None:
    import threading

    threads: set[int] = set()
    planning = Planning([Mounting(name, threading.get_ident, threads) for name in ("x", "y")])
    before = Contribution(mounts=(HostMount("before", "/b", ()),))
    parts = await planning.prepare(request(mounts=mounts), before)
    assert [(mount.source, mount.target) for mount in parts.mounts] == [("x", "/1"), ("y", "/2")]
    assert len(threads) == 1
    assert (threads == {threading.get_ident()}) is not bool(mounts)


def test_contributions_add_up(tmp_path: Path) -> None:
    first = Contribution(env=("A=1",), namespaces={"pid": "/p"}, runtime_hooks={"prestart": ({"path": "/a"},)})
    second = Contribution(
        env=("B=2",), namespaces={"ipc": "/i"}, apparmor="x", runtime_hooks={"prestart": ({"path": "/b"},)}
    )
    both = first + second
    assert both.env == ("A=1", "B=2")
    assert both.namespaces == {"pid": "/p", "ipc": "/i"}
    assert both.apparmor == "x"
    assert both.runtime_hooks == {"prestart": ({"path": "/a"}, {"path": "/b"})}
