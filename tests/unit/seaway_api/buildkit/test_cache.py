"""The cache of a builder: asked and pruned without starting one, listed as Docker does."""

from collections.abc import AsyncIterator

import pytest
from tests.unit.seaway_api.buildkit.pipes import PipeEnd, pipe

from seaway_api.buildkit import cache
from seaway_api.buildkit.builder import NoBuilder
from seaway_api.buildkit.grpc import Answer, Code, Messages
from seaway_api.buildkit.http2 import Http2, Stream
from seaway_api.buildkit.messages import encode, new, parse
from seaway_contracts.errors import SeawayError
from seaway_docker.filters import Filters
from seaway_kit.tasks import Tasks


class StandIn:
    """A builder in memory, with one entry in its cache."""

    place = "here"

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self.asked: list[object] = []

    async def connect(self) -> PipeEnd:
        ours, theirs = pipe()
        self._tasks.spawn("stand-in", Http2(theirs, serve=self._serve).run())
        return ours

    async def is_there(self) -> bool:
        return True

    async def _serve(self, stream: Stream) -> None:
        request, answer = await Messages(stream).only(), Answer(stream)
        record = new("UsageRecord", ID="i", Size=7, Parents=["p"], RecordType="regular", Description="RUN x")
        record.CreatedAt.seconds = 1
        if stream.path.endswith("/DiskUsage"):
            await answer.message(encode("DiskUsageResponse", record=[record]))
        elif stream.path.endswith("/Prune"):
            self.asked.append(parse("PruneRequest", request))
            await answer.message(record.SerializeToString())
            await answer.message(record.SerializeToString())
        await answer.end(Code.OK)


@pytest.fixture
async def builder() -> AsyncIterator[StandIn]:
    tasks = Tasks("test")
    yield StandIn(tasks)
    await tasks.close()


async def test_entries_are_dockers(builder: StandIn) -> None:
    (entry,) = await cache.usage(builder)
    assert entry == {
        "ID": "i",
        "Parents": ["p"],
        "Type": "regular",
        "Description": "RUN x",
        "InUse": False,
        "Shared": False,
        "Size": 7,
        "CreatedAt": "1970-01-01T00:00:01Z",
        "LastUsedAt": None,
        "UsageCount": 0,
    }


async def test_a_prune_says_what_went(builder: StandIn) -> None:
    filters = Filters({"id": ("ab",), "type": ("regular",), "inuse": ()})
    pruned = await cache.prune(builder, filters, everything=True, keep_bytes=5, unused_ns=9)
    assert pruned == cache.Pruned(("i", "i"), 14)
    (asked,) = builder.asked
    assert (asked.all, asked.keepBytes, asked.keepDuration) == (True, 5, 9)  # type: ignore[attr-defined]
    assert list(asked.filter) == ["id~=ab,type==regular,inuse"]  # type: ignore[attr-defined]
    assert cache.prune_filter(Filters({"until": ("24h",)})) == []


async def test_no_builder_is_an_error_with_its_words() -> None:
    class Away:
        place = "there"

        async def connect(self) -> PipeEnd:
            raise NoBuilder("nobody is at home")

        async def is_there(self) -> bool:
            return True

    with pytest.raises(SeawayError, match="nobody is at home"):
        await cache.usage(Away())
