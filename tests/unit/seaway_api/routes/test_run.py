"""POST /containers/{id}/wait."""

from typing import Any

import pytest

from seaway_contracts.containers import ContainerRecord, ContainerStatus, State
from seaway_contracts.errors import unavailable
from seaway_contracts.records import GONE
from seaway_testing import builders
from seaway_testing.waiting import until

ID = builders.container_id(1)


def box(state: State = State.CREATED, **status: Any) -> ContainerRecord:
    return ContainerRecord(spec=builders.spec(1), node="n1", status=ContainerStatus(state=state, **status))


async def waiting(rig: Any, condition: str = "") -> Any:
    """A wait whose head has come."""
    wire = await rig.wire()
    query = f"?condition={condition}" if condition else ""
    wire.send(f"POST /v1.45/containers/box1/wait{query} HTTP/1.1\r\nHost: d\r\n\r\n".encode())
    status, headers = await wire.head()
    assert (status, headers["transfer-encoding"], headers["content-type"]) == (200, "chunked", "application/json")
    return wire


async def test_one_that_does_not_run_is_answered_at_once(rig: Any) -> None:
    rig.suite.add(box(State.EXITED, exit_code=7))
    wire = await waiting(rig)
    assert await wire.chunk() == b'{"StatusCode":7}\n'
    assert await wire.chunk() == b""


async def test_a_start_that_metadata_has_not_heard_of_counts(rig: Any) -> None:
    """Its answer came, then metadata and this process were replaced: only the node knows of it."""
    rig.suite.add(box(seq=1))
    rig.suite.held[ID] = ContainerStatus(state=State.RUNNING, seq=2)
    wire = await waiting(rig)
    await rig.suite.emit("die", ID, ContainerStatus(state=State.EXITED, seq=3, exit_code=5))
    assert await wire.chunk() == b'{"StatusCode":5}\n'


async def test_without_its_node_what_metadata_knows_is_answered(rig: Any) -> None:
    rig.suite.add(box(State.EXITED, exit_code=7))
    rig.suite.fail["inventory"] = unavailable("the agent of node n1 has gone")
    wire = await waiting(rig)
    assert await wire.chunk() == b'{"StatusCode":7}\n'


async def test_a_start_that_failed_is_told(rig: Any) -> None:
    rig.suite.add(box(State.CREATED, exit_code=127, error="no such program"))
    wire = await waiting(rig)
    assert await wire.chunk() == b'{"Error":{"Message":"no such program"},"StatusCode":127}\n'


@pytest.mark.parametrize("condition", ["", "next-exit", "removed"])
async def test_a_removal_does_not_tell_of_a_start_that_failed_before(rig: Any, condition: str) -> None:
    """The docker command would take it for its own failure to wait."""
    rig.suite.add(box(State.RUNNING, seq=2))
    wire = await waiting(rig, condition)
    await rig.suite.emit(
        "destroy", ID, ContainerStatus(state=State.REMOVING, seq=3, exit_code=127, error="no such program")
    )
    assert await wire.chunk() == b'{"StatusCode":127}\n'


async def test_the_head_comes_before_the_start_and_the_code_with_the_exit(rig: Any) -> None:
    rig.suite.add(box(seq=1))
    wire = await waiting(rig, "next-exit")
    await rig.suite.emit("start", ID, ContainerStatus(state=State.RUNNING, seq=2))
    await rig.suite.emit("die", ID, ContainerStatus(state=State.EXITED, seq=3, exit_code=137))
    assert await wire.chunk() == b'{"StatusCode":137}\n'


async def test_an_exit_of_before_is_no_news(rig: Any) -> None:
    """Also where this process hears of it behind the request, as it had lost its connection."""
    rig.suite.add(box(State.EXITED, seq=3, exit_code=1))
    rig.api.bus.transport.cut()
    await rig.suite.emit("die", ID, ContainerStatus(state=State.EXITED, seq=3, exit_code=1))
    rig.api.bus.transport.mend()
    wire = await waiting(rig, "next-exit")
    await rig.suite.emit("die", ID, ContainerStatus(state=State.EXITED, seq=5, exit_code=2))
    assert await wire.chunk() == b'{"StatusCode":2}\n'


async def test_an_exit_while_the_record_is_read_is_the_next_one(rig: Any) -> None:
    """The record holds it already when it is read."""
    rig.suite.add(box(State.RUNNING, seq=2))

    async def end() -> None:
        ended = ContainerStatus(state=State.EXITED, seq=3, exit_code=9)
        rig.suite.add(box(State.EXITED, seq=3, exit_code=9))
        await rig.suite.emit("die", ID, ended)

    rig.suite.meanwhile["get"] = end
    wire = await waiting(rig, "next-exit")
    assert await wire.chunk() == b'{"StatusCode":9}\n'


async def test_removed_waits_for_the_end_of_the_container(rig: Any) -> None:
    rig.suite.add(box(State.RUNNING, seq=2))
    wire = await waiting(rig, "removed")
    await rig.suite.emit("die", ID, ContainerStatus(state=State.EXITED, seq=3, exit_code=4))
    await rig.suite.emit("destroy", ID, ContainerStatus(state=State.REMOVING, seq=4, exit_code=4))
    assert await wire.chunk() == b'{"StatusCode":4}\n'


async def test_the_end_of_the_container_ends_every_wait(rig: Any) -> None:
    rig.suite.add(box(seq=1))
    wire = await waiting(rig, "next-exit")
    await rig.suite.emit("destroy", ID, ContainerStatus(state=State.REMOVING, seq=2))
    assert await wire.chunk() == b'{"StatusCode":0}\n'


async def test_others_exits_do_not_matter(rig: Any) -> None:
    rig.suite.add(box(State.RUNNING, seq=2))
    wire = await waiting(rig)
    await rig.suite.emit("die", builders.container_id(2), ContainerStatus(state=State.EXITED, seq=3, exit_code=9))
    await rig.suite.emit("die", ID, ContainerStatus(state=State.EXITED, seq=3, exit_code=1))
    assert await wire.chunk() == b'{"StatusCode":1}\n'


@pytest.mark.parametrize("half", [True, False])
async def test_a_client_that_hangs_up_leaves_no_watch(rig: Any, half: bool) -> None:
    rig.suite.add(box(State.RUNNING, seq=2))
    wire = await waiting(rig)
    assert rig.api.hub.watched == 1
    if half:
        wire.half_close()
    else:
        wire.writer.transport.abort()
    await until(lambda: rig.api.hub.watched == 0)


async def test_refusals(rig: Any) -> None:
    rig.suite.add(box())
    answer = await rig.call("POST", "/containers/box1/wait?condition=never")
    assert (answer.status, answer.json["message"]) == (400, 'invalid condition: "never"')
    assert (await rig.call("POST", "/containers/nobody/wait")).status == 404
    assert rig.api.hub.watched == 0


async def test_reads_tell_metadata_what_was_answered(rig: Any) -> None:
    rig.suite.add(box(seq=1))
    await rig.call("POST", "/containers/box1/start")
    await rig.call("GET", "/containers/json")
    assert rig.suite.named("list")[-1].basis == {ID: 2}
    await rig.call("DELETE", "/containers/box1")
    await rig.call("GET", "/containers/box1/json")
    assert rig.suite.named("get")[-1].basis == {ID: GONE}


async def test_a_start_that_was_answered_is_known_though_the_record_lags(rig: Any) -> None:
    """Else `start` and `wait` right behind it would be told that the container does not run."""
    record = rig.suite.add(box(seq=1))
    await rig.call("POST", "/containers/box1/start")
    rig.suite.records[ID] = record
    wire = await waiting(rig)
    assert (await rig.call("GET", "/containers/box1/json")).json["State"]["Status"] == "running"
    await rig.suite.emit("die", ID, ContainerStatus(state=State.EXITED, seq=3, exit_code=6))
    assert await wire.chunk() == b'{"StatusCode":6}\n'


async def test_an_end_that_was_told_is_known_though_the_record_lags(rig: Any) -> None:
    """Its event may come to this process before it comes to the copy of metadata that is asked next."""
    lagging = box(State.RUNNING, seq=2)
    rig.suite.add(lagging)
    wire = await waiting(rig)
    await rig.suite.emit("die", ID, ContainerStatus(state=State.EXITED, seq=3, exit_code=4))
    assert await wire.chunk() == b'{"StatusCode":4}\n'
    rig.suite.records[ID] = lagging
    shown = (await rig.call("GET", "/containers/box1/json")).json["State"]
    assert (shown["Status"], shown["ExitCode"]) == ("exited", 4)


async def test_an_end_that_the_record_told_of_is_known_though_the_next_copy_of_it_lags(rig: Any) -> None:
    """There are several copies of metadata."""
    rig.suite.add(box(State.EXITED, seq=3, exit_code=4))
    wire = await waiting(rig)
    assert await wire.chunk() == b'{"StatusCode":4}\n'
    await rig.call("GET", "/containers/json")
    assert rig.suite.named("list")[-1].basis == {ID: 3}
