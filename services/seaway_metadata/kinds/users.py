"""Users in their bucket, changed by compare and set alone: any copy of metadata may do it.

They are few and rarely read, so no copy caches them.
"""

import contextlib
from collections.abc import Callable

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
        """All users, by name. Of two with one key, only the one that was stored first: NATS takes a key once.

        Logins at the registry have no keys.
        """
        entries = sorted([entry async for entry in self._bucket.entries()], key=lambda entry: entry.revision)
        first: dict[tuple[str, str], BusUser] = {}
        for user in (decode(BusUser, entry.value) for entry in entries):
            first.setdefault((user.public_key, user.name if user.registry else ""), user)
        return sorted(first.values(), key=lambda user: user.name)

    async def add(self, user: BusUser) -> BusUser | None:
        """Store a user; return what is stored, or None where another one has that name."""
        try:
            await self._bucket.create(user.name, encode(user))
        except WrongRevision:
            found = await self.get(user.name)
            same = found is not None and (found.public_key, found.registry) == (user.public_key, user.registry)
            return found if same else None
        return user

    async def change(self, name: str, change: Callable[[BusUser], BusUser]) -> BusUser | None:
        """The user as it is after `change`, None where there is none, or it is going."""
        while (found := await self._bucket.get(name)) is not None:
            user = decode(BusUser, found.value)
            if user.removal is not None:
                return None
            user = change(user)
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
