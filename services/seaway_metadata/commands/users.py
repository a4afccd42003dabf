"""Serves users of the bus and logins at the registry: created, listed, given another key or password, removed."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from seaway_bus.bus import Bus, Command
from seaway_bus.node_keys import BadKey, check_public_key
from seaway_bus.outbox import Outbox
from seaway_bus.reader_streams import ReaderStreams
from seaway_bus.transport import TransportError
from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_contracts.channels import EventChannel
from seaway_contracts.errors import SeawayError, bad_request, conflict, not_found, unavailable
from seaway_contracts.lifecycle import CLUSTER, Envelope
from seaway_contracts.registry_users import MOST_REGISTRY_USERS, RegistryAccess
from seaway_contracts.users import (
    MOST_KEEP,
    MOST_USERS,
    BusUser,
    Change,
    CreateUser,
    RotateUser,
    StreamState,
    UserEvent,
    UserInfo,
    UserList,
    UserRef,
    check_create_user,
    check_name,
    reduced,
)
from seaway_kit.failpoints import Failpoint, reach
from seaway_metadata.kinds.identities import Identities
from seaway_metadata.kinds.user_changes import attributes, key_id, login_of, rotation, shown
from seaway_metadata.kinds.users import Users

log = logging.getLogger(__name__)
_S: Final = 10**9


class UserCommands:
    """The handlers of one copy of metadata."""

    def __init__(
        self,
        users: Users,
        identities: Identities,
        streams: ReaderStreams,
        outbox: Outbox,
        changed: Callable[[], None],
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`changed`: called when a user was created, changed or removed."""
        self._users = users
        self._identities = identities
        self._streams = streams
        self._outbox = outbox
        self._changed = changed
        self._now_ns = now_ns
        self._creating = asyncio.Lock()
        self._removing = asyncio.Lock()
        """Not two at once of one user: when its account is gone, it takes long to find that its stream is, too."""

    async def serve(self, bus: Bus) -> None:
        """Begin to answer."""
        await bus.serve(catalogue.CREATE_USER, self.create)
        await bus.serve(catalogue.ROTATE_USER, self.rotate)
        await bus.serve(catalogue.REMOVE_USER, self.remove)
        await bus.serve(catalogue.LIST_USERS, self.list_users)
        await bus.serve(catalogue.FIND_LOGIN, self.find_login)

    async def create(self, request: CreateUser, command: Command) -> BusUser:
        """Store a user; the same request again has the same outcome. Raises SeawayError: BAD_REQUEST, CONFLICT."""
        check_create_user(request, catalogue.EVENTS)
        if request.registry is None:
            _check_key(request.public_key)
        try:
            async with self._creating:  # one after the other: each looks at what room there is
                return await self._create(_user(request, self._now_ns()), command)
        except (TransportError, ValueError) as error:
            raise _unreachable(error) from error

    async def _create(self, user: BusUser, command: Command) -> BusUser:
        await self._check_room(user)
        await self._check_free(user.name, user.public_key)
        stored = await self._users.add(user)
        if stored is None:
            raise conflict(f"there is a user {user.name} already: remove it first (`seaway user rm {user.name}`)")
        try:  # another copy may have created one meanwhile
            await self._check_room(user)
            await self._check_free(user.name, user.public_key)
        except SeawayError:
            await self._users.forget(user)
            raise
        self._changed()
        reach(Failpoint.USER_STORED)
        self._tell(catalogue.USER_CREATE, stored, str(stored.created_ns), _by(command))
        return shown(stored)

    async def rotate(self, request: RotateUser, command: Command) -> BusUser:
        """Replace a user's key, or a login's password. Raises SeawayError: BAD_REQUEST, NOT_FOUND, CONFLICT."""
        change = rotation(request)
        if request.public_key:
            _check_key(request.public_key)
        try:
            await self._check_free(request.name, request.public_key)
            user = await self._users.change(request.name, change)
        except (TransportError, ValueError) as error:
            raise _unreachable(error) from error
        if user is None:
            raise not_found(f"no such user: {request.name}")
        self._changed()
        reach(Failpoint.USER_KEY_CHANGED)
        self._tell(catalogue.USER_ROTATE, user, key_id(user), _by(command))
        return shown(user)

    async def remove(self, request: UserRef, command: Command) -> BusUser:
        """Remove a user, its stream and consumers. Raises SeawayError: BAD_REQUEST, NOT_FOUND."""
        check_name(request.name)
        return shown(await self._remove(request.name, _by(command)))

    async def end(self, name: str) -> None:
        """Remove a user whose time is over, or finish a removal that broke off. Raises SeawayError."""
        try:
            await self._remove(name, Change(reason="expired"), self._now_ns())
        except SeawayError as error:
            if error.status != 404:
                raise

    async def _remove(self, name: str, removal: Change, expired_ns: int | None = None) -> BusUser:
        """The record goes last: by it, another copy of metadata finishes what this one can't."""
        async with self._removing:
            try:
                return await self._removed(name, removal, expired_ns)
            except (TransportError, ValueError) as error:
                raise _unreachable(error) from error

    async def _removed(self, name: str, removal: Change, expired_ns: int | None) -> BusUser:
        user = await self._users.mark(name, removal, expired_ns)
        if user is None or user.removal is None:
            raise not_found(f"no such user: {name}")
        reach(Failpoint.USER_MARKED)
        if user.registry is None:
            await self._remove_stream(name)
        reach(Failpoint.USER_STREAM_REMOVED)
        self._tell(catalogue.USER_REMOVE, user, str(user.created_ns), user.removal)
        await self._users.forget(user)
        self._changed()
        return user

    async def _remove_stream(self, name: str) -> None:
        """While its account is there; a later user of that name gets rid of it otherwise."""
        try:
            await self._streams.remove(name)
        except TransportError as error:
            log.warning("the stream of the user %s could not be removed: %s", name, error)

    async def find_login(self, request: UserRef, command: Command) -> RegistryAccess:
        """What the registry must know of a login. Raises SeawayError: BAD_REQUEST, NOT_FOUND."""
        check_name(request.name)
        try:
            user = await self._users.get(request.name)
        except (TransportError, ValueError) as error:
            raise _unreachable(error) from error
        return login_of(user, request.name, self._now_ns())

    async def list_users(self, request: Empty, command: Command) -> UserList:
        """All of them, with what their streams hold."""
        try:
            users = await self._users.all()
        except (TransportError, ValueError) as error:
            raise _unreachable(error) from error
        users = [user for user in users if user.removal is None]
        states = await asyncio.gather(*(self._state(user) for user in users))
        return UserList(users=tuple(UserInfo(user=shown(u), stream=s) for u, s in zip(users, states, strict=True)))

    async def _state(self, user: BusUser) -> StreamState | None:
        return await self._streams.state(user.name) if user.registry is None else None

    async def _check_room(self, user: BusUser) -> None:
        """The NATS server reserves what the streams may store; without a limit users would take the suite's room."""
        is_login = user.registry is not None
        all_others = [one for one in await self._users.all() if one.name != user.name]
        others = [one for one in all_others if (one.registry is not None) == is_login]
        if len(others) >= (MOST_REGISTRY_USERS if is_login else MOST_USERS):
            raise conflict(f"there are {len(others)} users already, and no more may be: remove one first")
        kept = sum(one.keep for one in others)
        if kept + user.keep > MOST_KEEP:
            left = (MOST_KEEP - kept) >> 20
            raise conflict(f"all users' streams together may keep {MOST_KEEP >> 30} GiB, of which {left} MiB are left")

    async def _check_free(self, name: str, key: str) -> None:
        if not key:  # a login's password is nobody else's business
            return
        of_users = {one.public_key for one in await self._users.all() if one.name != name}
        if key in of_users | {one.public_key for one in await self._identities.all()}:
            raise _taken()

    def _tell(self, channel: EventChannel[UserEvent], user: BusUser, which: str, why: Change) -> None:
        """`which` tells this change from others of the same kind, whichever copy publishes it."""
        envelope = Envelope(
            id=f"user-{user.name}-{channel.action}-{which}",
            node=CLUSTER,
            noun=channel.noun,
            action=channel.action,
            subject_id=user.name,
            time_ns=self._now_ns(),
            cause=why.cause,
            actor=why.actor,
        )
        self._outbox.tell(channel, envelope, UserEvent(user=user.name, reason=why.reason, attributes=attributes(user)))


def _user(request: CreateUser, now_ns: int) -> BusUser:
    return BusUser(
        name=request.name,
        public_key=request.public_key,
        created_ns=now_ns,
        events=reduced(request.events),
        nodes=tuple(sorted(set(request.nodes))),
        keep=request.keep,
        expires_ns=now_ns + request.expires_s * _S if request.expires_s else 0,
        registry=request.registry,
    )


def _check_key(key: str) -> None:
    try:
        check_public_key(key)
    except BadKey as error:
        raise bad_request(str(error)) from None


def _taken() -> SeawayError:
    return conflict("this key is another user's or a node's already: make a new one")


def _unreachable(error: Exception) -> SeawayError:
    return unavailable(f"the records of users can't be reached just now: {error}; try again")


def _by(command: Command) -> Change:
    return Change(cause=command.id, actor=command.actor)
