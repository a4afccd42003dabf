"""What is shown of a user, what its events say, and how its key or password is replaced. Pure."""

import hashlib
from collections.abc import Callable

from seaway_contracts.errors import bad_request, conflict, not_found
from seaway_contracts.registry_users import RegistryAccess, check_registry_access, without_password
from seaway_contracts.users import BusUser, RotateUser, check_name, check_name_and_key


def shown(user: BusUser) -> BusUser:
    """The user without the hash of its password: that is for the registry alone."""
    return user.model_copy(update={"registry": without_password(user.registry)})


def attributes(user: BusUser) -> dict[str, str]:
    """The attributes of its events: what it may do, where that is limited."""
    registry = user.registry.rights.value if user.registry is not None else ""
    given = {"events": ",".join(user.events), "nodes": ",".join(user.nodes), "registry": registry}
    expires = {"expires": str(user.expires_ns)} if user.expires_ns else {}
    return {"name": user.name, **{word: text for word, text in given.items() if text}, **expires}


def key_id(user: BusUser) -> str:
    """A text that differs for each key or password of a user, and tells nothing of a password."""
    if user.registry is None:
        return user.public_key
    return hashlib.sha256(user.registry.password.encode()).hexdigest()[:16]


def rotation(request: RotateUser) -> Callable[[BusUser], BusUser]:
    """What a request makes of a user. Raises SeawayError (BAD_REQUEST); its result raises CONFLICT."""
    if not request.password:
        check_name_and_key(request.name, request.public_key)
    else:
        check_name(request.name)
        if request.public_key:
            raise bad_request("a user has a key or a password, not both")

    def change(user: BusUser) -> BusUser:
        if (user.registry is None) == bool(request.password):
            has, given = ("a key", "a password") if user.registry is None else ("a password", "a key")
            raise conflict(f"the user {user.name} has {has}, so it can't be given {given}")
        if user.registry is None:
            return user.model_copy(update={"public_key": request.public_key})
        access = user.registry.model_copy(update={"password": request.password})
        check_registry_access(access)
        return user.model_copy(update={"registry": access})

    return change


def login_of(user: BusUser | None, name: str, now_ns: int) -> RegistryAccess:
    """A user's login at the registry. Raises SeawayError (NOT_FOUND) where it has none, or its time is over."""
    over = user is None or user.removal is not None or 0 < user.expires_ns <= now_ns
    if over or user is None or user.registry is None:
        raise not_found(f"{name} has no login at the registry")
    return user.registry
