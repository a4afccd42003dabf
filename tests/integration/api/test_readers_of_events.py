"""Clients of /events that are too slow, and an API that is: a real server, the API as a process, the docker command."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.forked import Forked

from seaway_bus.bus import Bus
from seaway_bus.events import history
from seaway_contracts.catalogue import EVENT_STREAM, event_channel
from seaway_contracts.containers import State
from seaway_testing.builders import START_NS, container_event, status
from seaway_testing.nats_server import NatsServer
from seaway_testing.waiting import until

_PATIENT_S = 60.0
_MOST_BEHIND = 16_384
_UNDERWAY = 3_000  # events that fit between the API and a client that doesn't read
_MIB = 1 << 20
_LONG = _MIB // 2


class Service:
    """The API on a socket of its own, and the numbers that it tells of itself."""

    def __init__(self, url: str, place: Path) -> None:
        self.host = f"unix://{place}/docker.sock"
        self.log = place / "api.log"
        flags = ["--nats", url, "--root", f"{place}/root", "--run", f"{place}/run", "--host", self.host]
        self.process = Forked("seaway_api.main", flags, self.log)

    async def ready(self) -> "Service":
        await until(lambda: self.log.exists() and "api is ready" in self.log.read_text(), _PATIENT_S, "the API")
        return self

    def docker(self, *words: str, out: Path) -> "subprocess.Popen[bytes]":
        """The docker command, its output in `out` and its errors in `out.err`."""
        command = ["docker", "-H", self.host, "events", "--format", "{{.TimeNano}}", *words]
        with out.open("wb") as lines, out.with_suffix(".err").open("wb") as errors:
            return subprocess.Popen(command, stdout=lines, stderr=errors)


@pytest.fixture
def nats(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[NatsServer]:
    """One that doesn't wait for its disk; the parameter is a line of its configuration."""
    server = NatsServer(tmp_path / "nats", sync="1m", extra=getattr(request, "param", "")).start()
    yield server
    server.stop()


@pytest.fixture
async def bus(connect_bus: Callable[[], Awaitable[Bus]]) -> Bus:
    return await connect_bus()


@pytest.fixture
async def api(nats: NatsServer, bus: Bus, tmp_path: Path) -> AsyncIterator[Service]:
    service = Service(nats.url, tmp_path)
    try:
        yield await service.ready()
    finally:
        service.process.send_signal(signal.SIGCONT)
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(_PATIENT_S)


async def published(bus: Bus, numbers: range, **attributes: str) -> None:
    """Events as metadata publishes them, but for the wait until each is stored."""
    channel = event_channel("container", "start")
    for number in numbers:
        envelope, body = container_event("start", status(State.RUNNING, number))
        data = channel.published(body.model_dump(exclude_defaults=True) | {"attributes": attributes})
        await bus.transport.publish(channel.subject("n1", envelope.subject_id), data, envelope.headers())


def times(path: Path) -> list[int]:
    """When the events happened that a client was told of, in its order. Its last line may not be whole yet."""
    return [int(line) for line in path.read_text().split("\n")[:-1]]


async def stored(bus: Bus, count: int) -> list[int]:
    """The times of all events, once there are so many."""
    for _ in range(600):
        if await bus.transport.last_sequence(EVENT_STREAM.name) >= count:
            break
        await asyncio.sleep(0.1)
    else:
        raise AssertionError(f"not all {count} events were stored within a minute")
    return [event.envelope.time_ns async for event in history(bus.transport, start_ns=0)]


def since(time_ns: int) -> str:
    seconds, fraction = divmod(time_ns, 10**9)
    return f"{seconds}.{fraction:09d}"


async def test_a_reader_that_falls_behind_is_cut_off_and_goes_on_since_its_last_event(
    bus: Bus, api: Service, tmp_path: Path
) -> None:
    count = _MOST_BEHIND + _UNDERWAY
    first, second = tmp_path / "first", tmp_path / "second"
    await published(bus, range(1, 2))
    slow = api.docker("--since", since(START_NS), out=first)
    try:
        await until(lambda: len(times(first)) == 1, _PATIENT_S, "the first event")
        os.kill(slow.pid, signal.SIGSTOP)
        await published(bus, range(2, count + 1))
        all_times = await stored(bus, count)
    finally:
        os.kill(slow.pid, signal.SIGCONT)
    try:
        code = await asyncio.to_thread(slow.wait, _PATIENT_S)
    finally:
        slow.kill()
    assert code == 1 and "unexpected EOF" in first.with_suffix(".err").read_text()
    assert "a reader of events is cut off" in api.log.read_text()
    told = times(first)
    assert 1 < len(told) <= _UNDERWAY and told == all_times[: len(told)]
    again = api.docker("--since", since(told[-1]), "--until", since(all_times[-1]), out=second)
    assert await asyncio.to_thread(again.wait, _PATIENT_S) == 0
    assert told + times(second)[1:] == all_times


@pytest.mark.parametrize(
    ("nats", "most", "reason"),
    [
        ("write_deadline: 30s", 80 * _MIB, "MaxPending of 67108864 Exceeded"),
        ("write_deadline: 1s", 16 * _MIB, "WriteDeadline of 1s exceeded"),
    ],
    ids=["too-much", "too-long"],
    indirect=["nats"],
)
async def test_a_service_that_the_server_hangs_up_on_makes_up_for_what_it_missed(
    nats: NatsServer, bus: Bus, api: Service, tmp_path: Path, most: int, reason: str
) -> None:
    out, log = tmp_path / "out", tmp_path / "nats" / "nats.log"
    await published(bus, range(1, 2))
    reader = api.docker("--since", since(START_NS), out=out)
    try:
        await until(lambda: len(times(out)) == 1, _PATIENT_S, "the first event")
        os.kill(api.process.pid, signal.SIGSTOP)
        count = most // _LONG + 1
        await published(bus, range(2, count + 1), long="x" * _LONG)
        await until(lambda: reason in log.read_text(), _PATIENT_S, "the API to be hung up on")
        all_times = await stored(bus, count)
        os.kill(api.process.pid, signal.SIGCONT)
        await until(lambda: len(times(out)) >= count, _PATIENT_S, "all events")
        assert times(out) == all_times
        assert reader.poll() is None, "the client notices nothing"
    finally:
        reader.terminate()
        reader.wait(_PATIENT_S)
