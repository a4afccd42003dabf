"""The resolver's process: adopted, replaced, started again, and gone when nothing needs it."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from seaway_agent.dns import connection, node_resolver
from seaway_agent.dns.port import ContainerNames, NamedEndpoint, ResolverError
from seaway_agent.kernel.procs import Process
from seaway_testing.waiting import until

from .conftest import WEB, Node, answers

pytestmark = pytest.mark.root
ONE, TWO = "1" * 64, "2" * 64
NAMES = ContainerNames((WEB,))


def process(node: Node) -> Process:
    (found,) = connection.resolvers_below(node.run)
    return found


def descriptors(pid: int) -> list[str]:
    found = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(os.readlink(fd))
        except FileNotFoundError:
            continue
    return found


async def run(node: Node, container: str) -> int:
    await node.attach(container)
    pid = await node.start(container)
    node.resolver.hand_over(container, pid)
    return pid


async def web(node: Node, container: str) -> bool:
    return answers(await node.query(container, "web")) == ["10.1.0.2"]


async def test_no_process_runs_before_it_is_needed(node: Node) -> None:
    await node.resolver.sweep()
    await node.resolver.detach(ONE)
    assert not connection.resolvers_below(node.run)


async def test_the_process_is_started_once(node: Node) -> None:
    await asyncio.gather(node.attach(ONE), node.attach(TWO))
    first = process(node)
    await node.attach("3" * 64)
    assert process(node) == first


async def test_the_next_agent_keeps_the_process_and_its_listeners(node: Node) -> None:
    pid = await run(node, ONE)
    first, rules = process(node), node.sandboxes[ONE].run("nft", "list", "ruleset")
    for _ in range(3):
        await node.restart_agent()
        await node.resolver.adopt(ONE, pid, NAMES)
        await node.resolver.sweep()
        assert await web(node, ONE)
    assert process(node) == first
    assert node.sandboxes[ONE].run("nft", "list", "ruleset") == rules


async def test_it_ends_with_the_last_sandbox_when_no_agent_is_there(node: Node) -> None:
    pid = await run(node, ONE)
    node.resolver.close()
    assert await web(node, ONE)
    await node.end(pid)
    await until(lambda: not connection.resolvers_below(node.run), what="the end of the process")


async def test_it_ends_with_an_agent_that_has_no_sandbox(node: Node) -> None:
    await node.attach(ONE)
    node.resolver.close()
    await until(lambda: not connection.resolvers_below(node.run), what="the end of the process")


async def test_purging_ends_it(node: Node) -> None:
    await run(node, ONE)
    node.resolver.close()
    connection.end_all(node.run)
    assert not connection.resolvers_below(node.run)
    connection.end_all(node.run)


async def test_a_killed_process_is_replaced_and_its_rules_too(node: Node) -> None:
    await run(node, ONE)
    await node.attach(TWO)
    for _ in range(3):
        former = process(node)
        os.kill(former.pid, signal.SIGKILL)
        assert await web(node, ONE)
        assert await web(node, TWO)
        assert process(node) != former
    assert node.sandboxes[ONE].run("nft", "list", "ruleset").count("dnat") == 2


async def test_a_process_that_stands_still_is_replaced(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    await run(node, ONE)
    former = process(node)
    os.kill(former.pid, signal.SIGSTOP)
    monkeypatch.setattr(connection, "REPLIES_S", 0.2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(node_resolver, "_TRIES", 20)
        await node.attach(TWO)
    monkeypatch.undo()
    assert await web(node, ONE)
    assert await web(node, TWO)
    assert process(node) != former


async def test_a_process_of_another_form_is_replaced(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = await run(node, ONE)
    former = process(node)
    await node.restart_agent()
    monkeypatch.setattr(connection, "FORM", 99)
    await node.resolver.adopt(ONE, pid, NAMES)
    assert process(node) != former
    assert await web(node, ONE)


async def test_a_socket_without_a_process_is_no_obstacle(node: Node) -> None:
    (node.run / connection.SOCKET).write_text("left behind")
    await node.attach(ONE)
    assert await web(node, ONE)


async def test_without_its_program_a_sandbox_cannot_be_attached(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(OSError, match="nonexistent"):
        await node.attach(ONE)
    monkeypatch.undo()
    await node.attach(ONE)
    assert await web(node, ONE)


async def test_too_many_names_are_refused(node: Node) -> None:
    names = tuple(f"{number:060}" for number in range(20_000))
    sandbox = await node.sandbox(ONE)
    with pytest.raises(ResolverError, match="bytes"):
        await node.resolver.attach(ONE, sandbox, ContainerNames((NamedEndpoint("id", "net", names),)))
    await node.attach(ONE)
    assert await web(node, ONE)


async def test_nothing_keeps_a_sandbox_that_has_ended(node: Node) -> None:
    await node.attach(TWO)
    resolver = process(node)
    before = sorted(descriptors(resolver.pid))
    ours = len(os.listdir("/proc/self/fd"))
    for _ in range(100):
        await node.attach(ONE)
        await node.resolver.detach(ONE)
    pid = await run(node, ONE)
    await node.end(pid)  # which the agent hasn't seen yet
    await until(lambda: len(descriptors(resolver.pid)) == len(before), what="closed descriptors")
    await node.resolver.detach(ONE)
    assert len(os.listdir("/proc/self/fd")) == ours + 1  # the test's own, of the last sandbox
    assert sum("net:" in one for one in descriptors(resolver.pid)) == 2  # the host's and the one sandbox


async def test_hundred_sandboxes_are_served_again_after_a_kill(node: Node) -> None:
    containers = [f"{number:064x}" for number in range(100)]
    for container in containers:
        await node.attach(container)
    os.kill(process(node).pid, signal.SIGKILL)
    for container in containers:
        assert await web(node, container)
