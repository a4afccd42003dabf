"""Users: programs outside the suite that read events on the bus, and logins at the suite's registry."""

from typing import Final

from seaway_contracts import users as u
from seaway_contracts.base import Empty
from seaway_contracts.catalogue.declare import IMAGE, METADATA, call, event, query
from seaway_contracts.channels import ROOT, BucketConfig, EventChannel, Repeat
from seaway_contracts.registry_users import RegistryAccess


def _event(action: str, about: str) -> EventChannel[u.UserEvent]:
    return event("user", action, u.UserEvent, about, owner=METADATA)


USER_CREATE: Final = _event("create", "A user of the bus was created.")
USER_ROTATE: Final = _event("rotate", "A user of the bus got another key.")
USER_REMOVE: Final = _event("remove", "A user of the bus was removed, or has expired.")

CREATE_USER: Final = call(
    METADATA,
    "user.create",
    u.CreateUser,
    u.BusUser,
    "Store a user, and give it a stream of its own.",
    repeat=Repeat.UNANSWERED,
)
ROTATE_USER: Final = call(
    METADATA,
    "user.rotate",
    u.RotateUser,
    u.BusUser,
    "Give a user another key; the one before is refused from then on.",
    repeat=Repeat.UNANSWERED,
)
REMOVE_USER: Final = call(
    METADATA,
    "user.remove",
    u.UserRef,
    u.BusUser,
    "Remove a user with its stream and consumers.",
    timeout_s=10,
    repeat=Repeat.UNANSWERED,
)
LIST_USERS: Final = query(METADATA, "user.list", Empty, u.UserList, "List all users, with the state of their streams.")
FIND_LOGIN: Final = query(
    METADATA,
    "user.login",
    u.UserRef,
    RegistryAccess,
    "Return a user's login at the registry, with the hash of its password.",
    callers=(IMAGE,),
)

USERS_BUCKET: Final = BucketConfig("seaway_users", "Users of the bus and their public keys, by name.")

USER_SUBJECTS: Final = f"{ROOT}.user.{{account}}"
USER_API: Final = f"{USER_SUBJECTS}.api"
"""JetStream's API of a user's account, as metadata reaches it."""
USER_SOURCE: Final = f"{USER_SUBJECTS}.source"
"""Where a user's stream asks for a consumer of the suite's stream. Metadata checks that, and creates the consumer."""
USER_STORED: Final = f"{USER_SUBJECTS}.stored"
"""Where such a consumer delivers stored events to."""
