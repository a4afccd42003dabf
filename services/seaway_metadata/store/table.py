"""One kind's records in this copy: in memory, in their bucket, and the first kept in the second."""

from typing import Generic

from seaway_metadata.store.kind import R
from seaway_metadata.store.records import Records
from seaway_metadata.store.source import Source
from seaway_metadata.store.write_behind import WriteBehind


class Table(Generic[R]):
    """A kind whose records this process alone makes and changes, by `put` and `remove`."""

    def __init__(self, records: Records[R], source: Source[R], behind: WriteBehind[R]) -> None:
        self.kind = records.kind
        self.records = records
        self.index = source.index
        self.behind = behind

    async def load(self) -> None:
        """Take what is stored."""
        async for stored in self.records.all():
            self.index.put(stored.record)
            self.behind.known(self.kind.key(stored.record), stored.revision)

    async def compare(self) -> None:
        """Write again what is missing in the bucket. Raises TransportError, NewerSchema."""
        present = {self.kind.key(stored.record) async for stored in self.records.all()}
        self.behind.compare(present, await self.records.holders())
