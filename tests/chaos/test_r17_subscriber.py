"""R17: a user's program is killed again and again, and NATS under it: it gets each event at least once."""

import asyncio
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import nats
import pytest
from chaos_rig import subscriber
from chaos_rig.figures import Figures
from chaos_rig.scale import dice, scaled
from chaos_rig.suite import ChaosSuite
from e2e_rig.seaway import seaway
from e2e_rig.waits import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]
_EVENTS, _KILLS, _NATS_KILLS = scaled(10_000, 1_500), scaled(50, 10), scaled(5, 1)
_AT_ONCE = 20


class Subscriber:
    """The program; started again each time that it is killed."""

    def __init__(self, suite: ChaosSuite, key: Path, out: Path) -> None:
        self._words = [sys.executable, subscriber.__file__, suite.nats_url, str(key), str(out)]
        self._out = out
        self._out.touch()
        self._process = subprocess.Popen(self._words)

    def got(self) -> list[str]:
        """The ids that it wrote down. A line that it was killed in is none: it was not acknowledged."""
        return [line for line in self._out.read_text().split("\n")[:-1] if len(line) == _ID]

    def again(self) -> None:
        """Kill it, and start it again."""
        self.end()
        self._process = subprocess.Popen(self._words)

    def end(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()


_ID = len("event-00000")


async def _publish(suite: ChaosSuite, until: threading.Event) -> None:
    """Store all events as metadata does, each until that is acknowledged. It goes on while NATS is away."""
    words = {"user": "metadata", "password": suite.secret("metadata"), "inbox_prefix": "_INBOX.metadata"}
    bus = await nats.connect(suite.nats_url, max_reconnect_attempts=-1, reconnect_time_wait=0.1, **words)
    stream, left = bus.jetstream(), iter(range(_EVENTS))

    async def some() -> None:
        for number in left:
            identifier = f"event-{number:05}"
            headers = {"Nats-Msg-Id": identifier, "ce-id": identifier}
            while not until.is_set():
                with suppress(nats.errors.Error):
                    await stream.publish(f"seaway.v1.event.n1.image.tag.{number}", b"{}", timeout=2, headers=headers)
                    break

    await asyncio.gather(*(some() for _ in range(_AT_ONCE)))
    await bus.close()


@contextmanager
def _publishing(suite: ChaosSuite) -> Iterator[threading.Thread]:
    stop = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_publish(suite, stop)))
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join()


def test_r17_a_subscriber_gets_all(suite: ChaosSuite, figures: Figures, tmp_path: Path) -> None:
    chance, began = dice("r17"), time.monotonic()
    place = ("--out", str(tmp_path)), ("--run", str(suite.run))
    made = seaway("user", "add", "r17", "--keep", "64m", *place[0], *place[1])
    assert made.returncode == 0, made.stderr
    reader = Subscriber(suite, tmp_path / "r17.nk", tmp_path / "got")
    try:
        with _publishing(suite) as publisher:
            for number in range(_KILLS):
                more = len(reader.got()) + chance.randrange(_EVENTS // _KILLS)
                eventually(lambda more=more: len(reader.got()) >= min(more, _EVENTS), "more events", 60)  # type: ignore[misc]
                reader.again()
                if number % (_KILLS // _NATS_KILLS) == 1:
                    old = suite.kill("nats")
                    suite.restarted("nats", old)
            publisher.join()
        eventually(lambda: len(set(reader.got())) == _EVENTS, "all events", 60 + subscriber.ACK_WAIT_S)
    finally:
        reader.end()
        removed = seaway("user", "rm", "r17", *place[1])
    assert removed.returncode == 0, removed.stderr
    suite.whole()
    got = Counter(reader.got())
    assert set(got) == {f"event-{number:05}" for number in range(_EVENTS)}
    figures.show(
        "R17",
        f"{_EVENTS} events, a subscriber killed {_KILLS} times and NATS {_NATS_KILLS} times: 0 missing, "
        f"{got.total() - len(got)} came again; {time.monotonic() - began:.0f} s",
    )
