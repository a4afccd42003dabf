"""Run a command in a container."""

from typing import Any

import pytest

from seaway_bus.bus import Bus
from seaway_cluster.run import CommandResult, run
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.execs import container_prefix, is_exec_id
from seaway_kit.tasks import Tasks
from seaway_testing import builders

ID = builders.container_id(1)


@pytest.mark.parametrize("last_words", [True, False])
async def test_exit_code_and_output(fake_bus: Bus, tasks: Tasks, suite: Any, last_words: bool) -> None:
    """Where the node's last words were too long, it is asked."""
    suite.output, suite.exit_code, suite.last_words = b"x" * 100_000, 3, last_words
    result = await run(fake_bus, tasks, "tester", ID, "n1", ["ls", "-l"], user="me")
    assert result == CommandResult(3, b"x" * 100_000)
    assert suite.kinds == ["exec.create", "exec.start", *([] if last_words else ["exec.inspect"])]
    (made,), (started,) = suite.named("exec.create"), suite.named("exec.start")
    assert (made.container, made.spec.args, made.spec.user) == (ID, ("ls", "-l"), "me")
    assert is_exec_id(made.spec.id) and container_prefix(made.spec.id) == container_prefix(ID)
    assert (started.id, started.raw) == (made.spec.id, True)
    assert [command.actor for _, _, command in suite.calls[:2]] == ["tester"] * 2


async def test_a_command_that_has_not_ended(fake_bus: Bus, tasks: Tasks, suite: Any) -> None:
    suite.exit_code = None
    with pytest.raises(SeawayError, match=f"the output of a command in container {ID[:12]} ended before it did"):
        await run(fake_bus, tasks, "", ID, "n1", ["x"])


@pytest.mark.parametrize("step", ["exec.create", "exec.start"])
async def test_refusals(fake_bus: Bus, tasks: Tasks, suite: Any, step: str) -> None:
    suite.fail[step] = SeawayError(Code.CONFLICT, "it doesn't run")
    with pytest.raises(SeawayError, match="it doesn't run"):
        await run(fake_bus, tasks, "", ID, "n1", ["x"])
