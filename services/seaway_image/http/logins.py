"""Logins of people at `/v2/`: users of `seaway user add --registry`, whose records metadata has.

A record is asked for at metadata and used for a moment, so a user who was removed is refused a moment later. That a
password fits a hash is remembered for longer, as scrypt takes time, and the hash is part of what is remembered. Nothing
here holds a password: what is remembered is found by a keyed digest, whose key ends with the process.
"""

import asyncio
import hashlib
import hmac
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from seaway_bus.bus import Bus
from seaway_contracts.catalogue import FIND_LOGIN
from seaway_contracts.errors import Code, SeawayError, unavailable
from seaway_contracts.registry_users import RegistryAccess, RegistryRights
from seaway_contracts.users import UserRef, check_user
from seaway_image.http.access import Rights, may_pull, may_push
from seaway_image.http.login_attempts import LoginAttempts
from seaway_image.store.image_changes import Cause
from seaway_kit.passwords import hash_password, is_password

log = logging.getLogger(__name__)
RECORD_S: Final = 2.0
"""How long a record is used: so long may a user go on who was removed."""
_MOST: Final = 1024
_AT_ONCE: Final = 2
"""Passwords that are checked at one time, each in 16 to 64 MiB."""
_LONGEST_PASSWORD: Final = 1024
Sleep = Callable[[float], Awaitable[None]]


class Logins:
    """The logins, as this process knows them."""

    def __init__(
        self,
        bus: Bus,
        now: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        attempts: LoginAttempts | None = None,
    ) -> None:
        self._bus = bus
        self._now = now
        self._sleep = sleep
        self._attempts = attempts or LoginAttempts()
        self._records: OrderedDict[str, tuple[float, RegistryAccess | None]] = OrderedDict()
        self._fitting: OrderedDict[tuple[str, bytes], None] = OrderedDict()
        self._key = secrets.token_bytes(32)
        self._checking = asyncio.Semaphore(_AT_ONCE)
        self._nobodys: str | None = None

    async def authorize(self, user: str, password: str) -> Rights | None:
        """As `rights_of`, in the words of `access.py`. What is done by it is told of as done by `user:NAME`."""
        rights = await self.rights_of(user, password)
        if rights is None:
            return None
        by = Cause(actor=f"user:{user}")
        return replace(may_push(user) if rights is RegistryRights.PUSH else may_pull(user), by=by)

    async def rights_of(self, user: str, password: str) -> RegistryRights | None:
        """What that user may do with this password; None where either is wrong, which takes its time.

        Raises SeawayError: UNAVAILABLE while metadata doesn't answer, and where so many wrong passwords come that no
        further one is tried.
        """
        access = await self._record(user)
        if access is not None and self._is_known(access, password):
            return access.rights
        if self._attempts.full:
            raise unavailable("too many logins fail at once: try again in some seconds")
        self._attempts.waiting += 1
        try:
            if await self._fits(access, password):
                self._attempts.succeeded(user)
                return access.rights if access is not None else None
            log.warning("a login at the registry was refused: %s", user[:64] if access is not None else "unknown name")
            await self._sleep(self._attempts.failed(user, self._now()))
            return None
        finally:
            self._attempts.waiting -= 1

    async def _record(self, user: str) -> RegistryAccess | None:
        """The user's record, None where there is none. Raises SeawayError (UNAVAILABLE)."""
        try:
            check_user(user)
        except ValueError:
            return None
        until, access = self._records.get(user, (0.0, None))
        if self._now() < until:
            return access
        access = await self._find(user)
        self._records.pop(user, None)
        self._records[user] = (self._now() + RECORD_S, access)
        if len(self._records) > _MOST:
            self._records.popitem(last=False)
        return access

    async def _find(self, user: str) -> RegistryAccess | None:
        try:
            return await self._bus.call(FIND_LOGIN, UserRef(name=user))
        except SeawayError as error:
            if error.code is Code.NOT_FOUND:
                return None
            raise unavailable(f"logins can't be checked just now: {error.message}") from error

    def _is_known(self, access: RegistryAccess, password: str) -> bool:
        key = self._remembered(access, password)
        if key not in self._fitting:
            return False
        self._fitting.move_to_end(key)
        return True

    def _remembered(self, access: RegistryAccess, password: str) -> tuple[str, bytes]:
        data = password.encode("utf-8", "surrogateescape")
        return access.password, hmac.new(self._key, data, hashlib.sha256).digest()

    async def _fits(self, access: RegistryAccess | None, password: str) -> bool:
        """For a name that there isn't, as long as for one that there is."""
        if len(password) > _LONGEST_PASSWORD:
            return False
        async with self._checking:
            kept = access.password if access is not None else await self._of_nobody()
            try:
                fits = await asyncio.to_thread(is_password, password, kept)
            except ValueError as error:
                log.error("the password of a login at the registry is kept in an unknown form: %s", error)
                return False
        if access is None or not fits:
            return False
        self._fitting[self._remembered(access, password)] = None
        if len(self._fitting) > _MOST:
            self._fitting.popitem(last=False)
        return True

    async def _of_nobody(self) -> str:
        if self._nobodys is None:
            self._nobodys = await asyncio.to_thread(hash_password, secrets.token_urlsafe())
        return self._nobodys
