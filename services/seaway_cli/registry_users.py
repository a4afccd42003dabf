"""`seaway user add --registry`, and `rotate` of such users: logins at the suite's registry.

The password is made here and shown once. What is sent and stored is its hash.
"""

from dataclasses import dataclass

from seaway_cli.errors import CliError, Refused
from seaway_cli.tokens import Cluster
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import CREATE_USER, LIST_USERS, REMOVE_USER, ROTATE_USER
from seaway_contracts.registry_users import RegistryAccess, RegistryRights
from seaway_contracts.users import BusUser, CreateUser, RotateUser, UserRef
from seaway_kit.passwords import hash_password, new_password

_MAY = {RegistryRights.PULL: "pull from", RegistryRights.PUSH: "pull from, push to and delete from"}


@dataclass(frozen=True)
class Login:
    """A user and its new password, which nobody can look up later."""

    user: BusUser
    password: str
    text: str

    def document(self) -> dict[str, object]:
        """The same for programs."""
        return self.user.model_dump(mode="json") | {"password": self.password}


def add(cluster: Cluster, name: str, rights: RegistryRights, expires_s: int) -> Login:
    """Create a login. Raises CliError."""
    password = new_password()
    access = RegistryAccess(rights=rights, password=hash_password(password))
    request = CreateUser(name=name, public_key="", keep=0, expires_s=expires_s, registry=access)
    try:
        user = cluster.ask(CREATE_USER, request)
    except Refused:
        raise
    except (CliError, KeyboardInterrupt) as error:
        raise _unknown(error, name, "created", f"`seaway user rotate {name}` gives it another password") from error
    return Login(user, password, f"The user {name} may {_MAY[rights]} the registry.\n\n{_how(name, password)}")


def rotate(cluster: Cluster, name: str) -> Login:
    """Replace a login's password. Raises CliError."""
    password = new_password()
    request = RotateUser(name=name, public_key="", password=hash_password(password))
    try:
        user = cluster.ask(ROTATE_USER, request)
    except Refused:
        raise
    except (CliError, KeyboardInterrupt) as error:
        raise _unknown(error, name, "changed", f"repeat `seaway user rotate {name}`") from error
    return Login(user, password, f"The user {name} has another password; the one before is refused.\n\n{password}")


def remove(cluster: Cluster, name: str) -> str:
    """Remove a login. Raises CliError."""
    cluster.ask(REMOVE_USER, UserRef(name=name))
    return f"The user {name} was removed: the registry refuses it."


def is_login(cluster: Cluster, name: str) -> bool:
    """Whether a user of that name is a login at the registry. Raises CliError."""
    users = (info.user for info in cluster.ask(LIST_USERS, Empty()).users)
    return any(user.registry is not None for user in users if user.name == name)


def _how(name: str, password: str) -> str:
    return (
        f"Its password, which is not shown again:\n\n{password}\n\n"
        f"Log in with it at the address of the image service (docs/images.md):\n\n"
        f"docker login --username {name} --password-stdin HOST:PORT"
    )


def _unknown(error: BaseException, name: str, what: str, then: str) -> CliError:
    said = f"{error}: " if isinstance(error, CliError) else ""
    return CliError(f"{said}whether the user {name} was {what} is not known: look at `seaway user ls`. If so, {then}")
