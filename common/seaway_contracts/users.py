"""Users: programs outside the suite that read events on the bus, each from an account and a stream of its own; and
logins at the suite's registry, which have neither.
"""

import re
from collections.abc import Iterable
from typing import Final

from pydantic import Field

from seaway_contracts.base import Payload
from seaway_contracts.channels import ROOT
from seaway_contracts.errors import SeawayError, bad_request
from seaway_contracts.ids import check_node
from seaway_contracts.joining import is_public_key
from seaway_contracts.registry_users import RegistryAccess, check_registry_access

ACCOUNT_PREFIX: Final = "user:"
"""A node's account is named as the node, and no node's name has a colon."""
DEFAULT_KEEP: Final = 1 << 30
LEAST_KEEP: Final = 1 << 20
MOST_KEEP: Final = 16 << 30
"""Of all users together: the NATS server reserves what their streams may store."""
MOST_USERS: Final = 32
MOST_FILTERS: Final = 64
MOST_EXPIRES_S: Final = 10 * 365 * 86_400
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_EVENT: Final = re.compile(r"([a-z]+)(?:\.([a-z_-]+))?")


class Change(Payload):
    """Why a user is created, changed or removed: the command and its actor, or a reason."""

    cause: str = ""
    actor: str = ""
    reason: str = ""


class BusUser(Payload):
    """A user as metadata stores it. Without `events` or `nodes` it reads all of them; `expires_ns` 0: never.

    `events` are `noun.action`, or `noun` for all actions of a noun. `keep`: bytes of its stream. `created_ns` tells
    it from an earlier user of the same name. With `removal` it is going: its record stays until its stream is gone and
    its event told. With `registry` it is a login there and nothing else: it has no key, and reads no events.
    """

    name: str
    public_key: str
    created_ns: int
    events: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    keep: int = DEFAULT_KEEP
    expires_ns: int = 0
    removal: Change | None = None
    registry: RegistryAccess | None = None

    @property
    def account(self) -> str:
        """The NATS account of this user alone."""
        return account_of_user(self.name)

    @property
    def subjects(self) -> tuple[str, ...]:
        """The subjects of the events that it may read. None overlaps another: NATS refuses such filters."""
        if not self.events and not self.nodes:
            return (f"{ROOT}.event.>",)
        words = [f"{noun}.{action or '*'}" for noun, _, action in (one.partition(".") for one in self.events)]
        return tuple(f"{ROOT}.event.{node}.{word}.*" for node in self.nodes or ("*",) for word in words or ["*.*"])


class CreateUser(Payload):
    """Store a user. The seed of its key does not leave the machine on which it was made. `expires_s` 0: never.

    With `registry` it has no key, events, nodes and stream: they are empty, and `keep` 0.
    """

    name: str
    public_key: str
    events: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    keep: int = DEFAULT_KEEP
    expires_s: int = 0
    registry: RegistryAccess | None = None


class RotateUser(Payload):
    """Give a user another key; the one before is refused from then on. `password`: a login's new hash, without key."""

    name: str
    public_key: str
    password: str = ""


class UserRef(Payload):
    """A user by name."""

    name: str


class StreamState(Payload):
    """What a user's stream holds. `pending`: events of the suite's stream that it doesn't have yet.

    `is_fed`: whether it has heard from the suite's stream in the last seconds.
    """

    messages: int = 0
    bytes: int = 0
    consumers: int = 0
    pending: int = 0
    is_fed: bool = False


class UserInfo(Payload):
    """A user, and its stream; None while the NATS server doesn't answer for it."""

    user: BusUser
    stream: StreamState | None = None


class UserList(Payload):
    """All users, by name."""

    users: tuple[UserInfo, ...] = ()


class UserEvent(Payload):
    """A user was created or removed, or got another key."""

    user: str
    reason: str = ""
    attributes: dict[str, str] = Field(default_factory=dict)


def account_of_user(name: str) -> str:
    """The account of the user of that name."""
    return f"{ACCOUNT_PREFIX}{name}"


def check_user(name: str) -> str:
    """Return `name` if a user may have it; raise ValueError otherwise. Services' names are reserved, as for nodes."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"no user may be called {name[:128]!r}: use 1 to 64 of A-Z a-z 0-9 _ -")
    try:
        return check_node(name)
    except ValueError:
        raise ValueError(f"no user may be called {name!r}: the name is reserved") from None


def check_create_user(request: CreateUser, known: Iterable[tuple[str, str]]) -> None:
    """Raise SeawayError (BAD_REQUEST) for what no user can be. `known`: noun and action of each event that exists."""
    if request.registry is not None:
        _check_login(request, request.registry)
        return
    check_name_and_key(request.name, request.public_key)
    _check_events(request.events, set(known))
    for node in request.nodes:
        try:
            if node != "cluster":  # stands there in events that no node reports
                check_node(node)
        except ValueError as error:
            raise bad_request(str(error)) from None
    filters = max(1, len(set(request.events))) * max(1, len(set(request.nodes)))
    if filters > MOST_FILTERS:
        raise bad_request(f"{filters} pairs of event and node: a user may have {MOST_FILTERS}")
    if not LEAST_KEEP <= request.keep <= MOST_KEEP:
        raise bad_request(f"a user's stream may keep {LEAST_KEEP >> 20} MiB to {MOST_KEEP >> 30} GiB")
    _check_expiry(request)


def _check_login(request: CreateUser, access: RegistryAccess) -> None:
    check_name(request.name)
    check_registry_access(access)
    if request.public_key or request.events or request.nodes or request.keep:
        raise bad_request("a login at the registry reads no events: it has no key, events, nodes and stream")
    _check_expiry(request)


def _check_expiry(request: CreateUser) -> None:
    if not 0 <= request.expires_s <= MOST_EXPIRES_S:
        raise bad_request(f"a user may be valid for 1 second to {MOST_EXPIRES_S // 86_400} days")


def check_name(name: str) -> None:
    """Raise SeawayError (BAD_REQUEST) for a name that no user may have."""
    try:
        check_user(name)
    except ValueError as error:
        raise bad_request(str(error)) from None


def check_name_and_key(name: str, public_key: str) -> None:
    """Raise SeawayError (BAD_REQUEST) for a name that no user may have, or a malformed public key."""
    check_name(name)
    if not is_public_key(public_key):
        raise bad_request("the public key must be a user's nkey: U and 55 more characters")


def _check_events(events: Iterable[str], known: set[tuple[str, str]]) -> None:
    for text in events:
        found = _EVENT.fullmatch(text)
        if found is None:
            raise bad_request(f"{text[:128]!r} is no event: write it as container.die, or container for all of a noun")
        noun, action = found.groups()
        if noun not in {one for one, _ in known}:
            raise bad_request(f"there are no events of {noun!r}: see docs/events.md")
        if action and (noun, action) not in known:
            raise bad_request(f"there is no event {text!r}: see docs/events.md")


def reduced(events: Iterable[str]) -> tuple[str, ...]:
    """The events once each, without those that a whole noun includes, in alphabetical order."""
    given = set(events)
    return tuple(sorted(one for one in given if one.partition(".")[0] == one or one.partition(".")[0] not in given))


# --- one line of text, for the owner of an outside NATS server


def user_line(user: BusUser) -> str:
    """What the server's configuration needs of a user: `user:NAME=KEY:KEEP:EVENTS:NODES`, lists with commas."""
    return f"{user.account}={user.public_key}:{user.keep}:{','.join(user.events)}:{','.join(user.nodes)}"


def parse_user_line(text: str) -> BusUser:
    """The user of such a line; raises ValueError for any other text."""
    name, _, rest = text.removeprefix(ACCOUNT_PREFIX).partition("=")
    try:
        key, keep, events, nodes = rest.split(":")
        user = BusUser(
            name=check_user(name),
            public_key=key,
            created_ns=0,
            events=tuple(filter(None, events.split(","))),
            nodes=tuple(filter(None, nodes.split(","))),
            keep=int(keep),
        )
    except ValueError:
        raise ValueError(f"{text[:200]!r} is no user: `seaway user keys` prints them") from None
    if not is_sound(user):
        raise ValueError(f"{text[:200]!r} is no user: `seaway user keys` prints them")
    return user


def is_sound(user: BusUser) -> bool:
    """Whether a user may stand in the server's configuration. A damaged one would make the server refuse all of it."""
    request = CreateUser(
        name=user.name, public_key=user.public_key, events=user.events, nodes=user.nodes, keep=user.keep
    )
    known = [(noun, action) for noun, _, action in (one.partition(".") for one in user.events)]
    try:
        check_create_user(request, known)
    except SeawayError:
        return False
    return True
