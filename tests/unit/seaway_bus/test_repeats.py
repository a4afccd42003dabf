"""What is asked again when nobody was there or no answer came, and what a repeat gets."""

import asyncio
from collections.abc import Mapping

import pytest

from seaway_bus import repeats
from seaway_bus.repeats import Asking, Outcomes
from seaway_bus.transport import Message, NoResponders, NotConnected, RequestTimeout, TransportError
from seaway_contracts.channels import Repeat
from seaway_contracts.errors import Code, SeawayError, conflict, unavailable
from seaway_testing.fake_transport import FakeServer, FakeTransport

HEADERS = {"Seaway-Command": "c1", "Seaway-Deadline": "9"}


class Script(FakeTransport):
    """A connection on which each request fares as it was told; the last word holds for all that follow."""

    def __init__(self, *words: TransportError | bytes) -> None:
        super().__init__(FakeServer())
        self.words = list(words)
        self.asked: list[tuple[bytes, Mapping[str, str]]] = []

    async def request(
        self, subject: str, data: bytes, headers: Mapping[str, str], timeout_s: float, node: str = ""
    ) -> Message:
        self.asked.append((data, dict(headers)))
        word = self.words.pop(0) if len(self.words) > 1 else self.words[0]
        if isinstance(word, bytes):
            return Message("inbox", word)
        if isinstance(word, RequestTimeout):
            await asyncio.sleep(timeout_s)
        raise word


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "_FIRST_SILENCE_S", 0.01)
    monkeypatch.setattr(repeats, "_FIRST_PAUSE_S", 0.001)


def asking(script: Script, repeat: Repeat, patience_s: float = 5.0) -> Asking:
    return Asking(script, "a.subject", b"x", HEADERS, repeat, patience_s)


@pytest.mark.parametrize("away", [NoResponders("nobody"), NotConnected("cut off")])
@pytest.mark.parametrize("repeat", [Repeat.UNHEARD, Repeat.UNANSWERED])
async def test_who_is_away_for_a_moment_is_asked_again_with_the_same_words(
    away: TransportError, repeat: Repeat
) -> None:
    script = Script(away, away, b"done")
    assert (await asking(script, repeat).answer(5)).data == b"done"
    assert script.asked == [(b"x", HEADERS)] * 3


async def test_silence_is_asked_again_only_where_that_does_no_harm() -> None:
    script = Script(RequestTimeout("silence"), b"done")
    assert (await asking(script, Repeat.UNANSWERED).answer(5)).data == b"done"
    for repeat in (Repeat.UNHEARD, Repeat.NEVER):
        script = Script(RequestTimeout("silence"), b"done")
        with pytest.raises(RequestTimeout):
            await asking(script, repeat).answer(0.02)
        assert len(script.asked) == 1


async def test_killed_at_work_and_back() -> None:
    script = Script(RequestTimeout("silence"), NoResponders("nobody"), NoResponders("nobody"), b"done")
    assert (await asking(script, Repeat.UNANSWERED).answer(5)).data == b"done"


async def test_nothing_is_asked_again_where_it_must_not_be() -> None:
    script = Script(NoResponders("nobody"))
    with pytest.raises(NoResponders):
        await asking(script, Repeat.NEVER).answer(5)
    assert len(script.asked) == 1


async def test_patience_ends() -> None:
    script = Script(NoResponders("nobody"))
    with pytest.raises(NoResponders):
        await asking(script, Repeat.UNHEARD, patience_s=0.02).answer(5)
    assert len(script.asked) > 2


async def test_the_dead_line_ends_it() -> None:
    script = Script(NoResponders("nobody"))
    with pytest.raises(NoResponders):
        await asking(script, Repeat.UNANSWERED).answer(0.02)
    silent = Script(RequestTimeout("silence"))
    with pytest.raises(RequestTimeout):
        await asking(silent, Repeat.UNANSWERED).answer(0.05)
    assert 2 <= len(silent.asked) <= 4  # each silence is awaited twice as long as the one before


async def test_what_was_heard_once_may_have_been_done() -> None:
    script = Script(RequestTimeout("silence"), NoResponders("nobody"))
    with pytest.raises(RequestTimeout):
        await asking(script, Repeat.UNANSWERED, patience_s=0.02).answer(5)


class Work:
    """Counts how often it is done; goes on when it may."""

    def __init__(self, error: Exception | None = None) -> None:
        self.done = 0
        self.may_end = asyncio.Event()
        self.error = error

    async def __call__(self) -> bytes:
        self.done += 1
        await self.may_end.wait()
        if self.error is not None:
            raise self.error
        return b"reply %d" % self.done


async def test_a_repeat_joins_the_work_and_gets_its_reply_also_later() -> None:
    outcomes, work = Outcomes(), Work()
    both = asyncio.gather(outcomes.once("ch", "c1", work), outcomes.once("ch", "c1", work))
    await asyncio.sleep(0)
    work.may_end.set()
    assert await both == [b"reply 1", b"reply 1"]
    assert await outcomes.once("ch", "c1", work) == b"reply 1"
    assert work.done == 1
    assert await outcomes.once("ch", "c2", work) == b"reply 2"
    assert await outcomes.once("other", "c1", work) == b"reply 3"


async def test_an_outcome_that_is_not_remembered_is_shared_by_those_that_wait() -> None:
    outcomes, work = Outcomes(), Work()
    both = asyncio.gather(*(outcomes.once("ch", "c1", work, remembered=False) for _ in range(2)))
    await asyncio.sleep(0)
    work.may_end.set()
    assert await both == [b"reply 1", b"reply 1"]
    assert await outcomes.once("ch", "c1", work, remembered=False) == b"reply 2"


async def test_a_repeat_gets_the_same_refusal() -> None:
    outcomes, work = Outcomes(), Work(conflict("in the way"))
    work.may_end.set()
    for _ in range(2):
        with pytest.raises(SeawayError, match="in the way"):
            await outcomes.once("ch", "c1", work)
    assert work.done == 1


async def test_what_may_succeed_later_is_tried_again() -> None:
    outcomes, work = Outcomes(), Work(unavailable("away"))
    work.may_end.set()
    for _ in range(2):
        with pytest.raises(SeawayError) as caught:
            await outcomes.once("ch", "c1", work)
        assert caught.value.code is Code.UNAVAILABLE
    assert work.done == 2


async def test_who_no_longer_waits_leaves_the_others_their_reply() -> None:
    outcomes, work = Outcomes(), Work()
    first, second = (asyncio.ensure_future(outcomes.once("ch", "c1", work)) for _ in range(2))
    await asyncio.sleep(0)
    second.cancel()
    work.may_end.set()
    assert await first == b"reply 1"


async def test_the_oldest_are_forgotten_but_never_those_in_work() -> None:
    outcomes, slow, fast = Outcomes(remembered=2), Work(), Work()
    fast.may_end.set()
    waiting = asyncio.ensure_future(outcomes.once("ch", "slow", slow))
    await asyncio.sleep(0)
    for number in range(5):
        await outcomes.once("ch", f"c{number}", fast)
    again = asyncio.ensure_future(outcomes.once("ch", "slow", slow))
    await outcomes.once("ch", "c0", fast)
    assert fast.done == 6
    slow.may_end.set()
    assert await waiting == await again == b"reply 1"
