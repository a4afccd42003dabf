"""Users of the bus in their bucket, changed by compare and set alone: any copy of metadata may do it.

They are few and rarely read, so no copy caches them.
"""

import contextlib

from seaway_bus.transport import Bucket, WrongRevision
from seaway_contracts.users import BusUser, Change
from seaway_metadata.store.stored import decode, encode


class Users:
    """The bucket. All methods raise TransportError; ValueError for an entry that can't be read."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def get(self, name: str) -> BusUser | None:
        """The user of that name, None where there is none."""
        found = await self._bucket.get(name)
        return decode(BusUser, found.value) if found else None

    async def all(self) -> list[BusUser]:
        """All users, by name. Of two with one key, only the one that was stored first: NATS takes a key once."""
        entries = sorted([entry async for entry in self._bucket.entries()], key=lambda entry: entry.revision)
        first: dict[str, BusUser] = {}
        for user in (decode(BusUser, entry.value) for entry in entries):
            first.setdefault(user.public_key, user)
        return sorted(first.values(), key=lambda user: user.name)

    async def add(self, user: BusUser) -> BusUser | None:
        """Store a user; return what is stored, or None where another one has that name."""
        try:
            await self._bucket.create(user.name, encode(user))
        except WrongRevision:
            found = await self.get(user.name)
            return found if found is not None and found.public_key == user.public_key else None
        return user

    async def change_key(self, name: str, public_key: str) -> BusUser | None:
        """The user with that key, None where there is none, or it is going."""
        while (found := await self._bucket.get(name)) is not None:
            user = decode(BusUser, found.value).model_copy(update={"public_key": public_key})
            if user.removal is not None:
                return None
            try:
                await self._bucket.update(name, encode(user), found.revision)
            except WrongRevision:
                continue
            return user
        return None

    async def mark(self, name: str, removal: Change, expired_ns: int | None = None) -> BusUser | None:
        """The user, marked as going, whoever marked it first. None where there is none (or, given a time, none that
        has expired by then)."""
        while (found := await self._bucket.get(name)) is not None:
            user = decode(BusUser, found.value)
            if user.removal is not None:
                return user
            if expired_ns is not None and not 0 < user.expires_ns <= expired_ns:
                return None
            marked = user.model_copy(update={"removal": removal})
            try:
                await self._bucket.update(name, encode(marked), found.revision)
            except WrongRevision:
                continue
            return marked
        return None

    async def forget(self, user: BusUser) -> None:
        """Remove the record of this user, if it is there; a later one of its name stays."""
        found = await self._bucket.get(user.name)
        if found is not None and decode(BusUser, found.value).created_ns == user.created_ns:
            with contextlib.suppress(WrongRevision):  # another copy removes it
                await self._bucket.delete(user.name, found.revision)
