"""`seaway user add`, `ls`, `rotate`, `rm`: users of the bus, at the cluster of the suite that runs here or another."""

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seaway_bus import node_keys
from seaway_cli import control, nats_server, registry_users
from seaway_cli.errors import CliError, Refused, usage
from seaway_cli.nats_login import Login
from seaway_cli.tokens import Cluster, parse_ttl
from seaway_cli.user_examples import Access
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import CREATE_USER, LIST_USERS, REMOVE_USER, ROTATE_USER
from seaway_contracts.users import BusUser, CreateUser, RotateUser, UserInfo, UserRef, check_user, user_line
from seaway_docker.log_options import parse_size
from seaway_kit.private_files import write_private

_LET_IN_S: Final = 60.0
_POLL_S: Final = 0.1
_S: Final = 10**9


@dataclass(frozen=True)
class NewUser:
    """The command line of `seaway user add`. `events` may have several in one text, with commas."""

    name: str
    events: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    expires: str = ""
    keep: str = "1g"

    def request(self, public_key: str) -> CreateUser:
        """Raises CliError."""
        try:
            keep = parse_size(self.keep, 1024)
        except ValueError:
            raise usage(f"--keep {self.keep!r} is no size: write bytes, or 512m, 2g") from None
        return CreateUser(
            name=self.name,
            public_key=public_key,
            events=_words(self.events),
            nodes=_words(self.nodes),
            keep=keep,
            expires_s=seconds_of(self.expires),
        )


@dataclass(frozen=True)
class Written:
    """A key that was written: the user, the files, and what to say to people."""

    user: BusUser
    key: Path
    context: Path | None
    text: str

    def document(self, url: str) -> dict[str, object]:
        """The same for programs; `url` is NATS'."""
        files = {"key_file": str(self.key)} | ({"context_file": str(self.context)} if self.context else {})
        return self.user.model_dump() | files | {"url": url}


def seconds_of(expires: str) -> int:
    """The seconds of `--expires`, 0 for an empty text: for ever. Raises CliError."""
    return parse_ttl(expires, "--expires") if expires else 0


def add(cluster: Cluster, asked: NewUser, out: Path) -> Written:
    """Create a user, write its key, and wait until NATS lets it in. Raises CliError."""
    check_name(asked.name)
    key = _key_file(out, asked.name)
    context = key.with_suffix(".nats.json")
    for file in (key, context):
        if file.exists():
            raise CliError(f"{file} is there already: remove it, or give another --out")
    seed = node_keys.new_seed()
    request = asked.request(node_keys.public_key(seed))
    _check_users(cluster)
    with _written(key, seed):
        try:
            user = cluster.ask(CREATE_USER, request)
            _wait_until_let_in(cluster, user, seed)
        except BaseException:  # also Ctrl-C
            _take_back(cluster, request)
            raise
    access = Access(cluster.url, key, user.subjects[0], cluster.ca)
    context.write_text(access.context(user.name))
    text = "\n\n".join((_created(user), *_to_do(cluster, user), access.text(user.name, context)))
    return Written(user, key, context, text)


def rotate(cluster: Cluster, name: str, out: Path) -> Written:
    """Replace a user's key. Raises CliError."""
    check_name(name)
    _check_users(cluster)
    key, seed = _key_file(out, name), node_keys.new_seed()
    part = key.with_suffix(".new")
    _write(part, seed)
    try:
        user = cluster.ask(ROTATE_USER, RotateUser(name=name, public_key=node_keys.public_key(seed)))
    except Refused:
        part.unlink()
        raise
    except (CliError, KeyboardInterrupt) as error:
        said = f"{error}: " if isinstance(error, CliError) else ""
        raise CliError(
            f"{said}whether the key was replaced is not known. If it was, the new one is in {part}; "
            f"repeat `seaway user rotate {name}`"
        ) from error
    part.replace(key)
    _wait_until_let_in(cluster, user, seed)
    said = f"The user {name} has another key, in {key}; the one before is refused."
    return Written(user, key, None, "\n\n".join((said, *_to_do(cluster, user))))


def remove(cluster: Cluster, name: str) -> str:
    """Remove a user; its connections end. Raises CliError."""
    check_name(name)
    if registry_users.is_login(cluster, name):
        return registry_users.remove(cluster, name)
    user = cluster.ask(REMOVE_USER, UserRef(name=name))
    if cluster.own is None:
        return f"The user {name} was removed. {_owner(cluster)} so that it is cut off."
    deadline = time.monotonic() + _LET_IN_S
    while user.public_key in {one.public_key for one in nats_server.readers(cluster.own.node_keys)}:
        _pause(deadline)
    _reload(cluster)
    return f"The user {name} was removed, with its stream and its consumers."


def listed(cluster: Cluster, *, as_json: bool) -> str:
    """All users as a table, or as JSON. Raises CliError."""
    users = cluster.ask(LIST_USERS, Empty()).users
    if as_json:
        return json.dumps([info.user.model_dump() | {"stream": _document(info)} for info in users])
    titles = ("NAME", "EVENTS", "NODES", "EXPIRES", "KEEPS", "STORED", "CONSUMERS", "REGISTRY")
    rows = [titles] + [_row(info, time.time_ns()) for info in users]
    widths = [max(len(row[column]) for row in rows) for column in range(len(titles))]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows)
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


def keys(cluster: Cluster) -> list[str]:
    """A line for each user of the bus, as `deploy/nats/make-users` takes it. Raises CliError."""
    users = (info.user for info in cluster.ask(LIST_USERS, Empty()).users)
    return [user_line(user) for user in users if user.registry is None]


def _document(info: UserInfo) -> object:
    return info.stream.model_dump() if info.stream else None


def _row(info: UserInfo, now_ns: int) -> tuple[str, ...]:
    user, stream = info.user, info.stream
    left_s = (user.expires_ns - now_ns) / _S
    expires = "never" if not user.expires_ns else f"in {left_s:.0f} s" if left_s > 0 else "expired"
    if user.registry is not None:
        return user.name, "-", "-", expires, "-", "-", "-", user.registry.rights.value
    events, nodes = (",".join(words) or "all" for words in (user.events, user.nodes))
    stored, consumers = (str(stream.messages), str(stream.consumers)) if stream else ("-", "-")
    return user.name, events, nodes, expires, f"{user.keep >> 20} MiB", stored, consumers, "-"


def _wait_until_let_in(cluster: Cluster, user: BusUser, seed: str) -> None:
    """Until the key works and the user's stream is there and fed. The owner of an outside server lets it in later."""
    if cluster.own is None:
        return
    login = Login(cluster.url, user.name, ca=cluster.ca, seed=seed)
    deadline = time.monotonic() + _LET_IN_S
    while not login.works() or not _has_stream(cluster, user.name):
        _pause(deadline)


def _has_stream(cluster: Cluster, name: str) -> bool:
    return any(
        info.stream and info.stream.is_fed for info in cluster.ask(LIST_USERS, Empty()).users if info.user.name == name
    )


def _pause(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise CliError("the NATS server has not taken up the change: see the suite's log/nats.log and log/metadata.log")
    time.sleep(_POLL_S)


def _reload(cluster: Cluster) -> None:
    """Have the server cut off who is removed. Metadata does so too, but a moment later."""
    if cluster.own is not None:
        with contextlib.suppress(control.NotRunning):
            control.ask(cluster.own.control, "reload")


def _created(user: BusUser) -> str:
    what = f"reads {', '.join(user.events) or 'all events'} of {', '.join(user.nodes) or 'all nodes'}"
    if not user.expires_ns:
        return f"The user {user.name} {what}."
    until = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(user.expires_ns / _S))
    return f"The user {user.name} {what}, until {until}."


def _to_do(cluster: Cluster, user: BusUser) -> Iterator[str]:
    if cluster.own is None:
        yield f"{_owner(cluster)} so that it is let in, with\n  {user_line(user)}"


def _owner(cluster: Cluster) -> str:
    words = "runs deploy/nats/make-users with all nodes and users (`seaway node keys`, `seaway user keys`)"
    return f"The owner of the NATS server at {cluster.url} {words} and reloads it twice,"


def _check_users(cluster: Cluster) -> None:
    if cluster.passwords is None:
        raise CliError("the cluster's NATS server has no users, so nobody could be kept out: anybody may read events")


def check_name(name: str) -> None:
    """Raise CliError for a name that no user may have."""
    try:
        check_user(name)
    except ValueError as error:
        raise usage(str(error)) from None


def _key_file(out: Path, name: str) -> Path:
    return out.absolute() / f"{name}.nk"


@contextlib.contextmanager
def _written(file: Path, seed: str) -> Iterator[None]:
    """The file of a key, written before the key is known to the cluster, and removed if it does not become so."""
    _write(file, seed)
    try:
        yield
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def _write(file: Path, seed: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    write_private(file, f"{seed}\n".encode())


def _take_back(cluster: Cluster, request: CreateUser) -> None:
    """Remove the user if it was stored, as nobody will have its key. One of that name with another key stays."""
    with contextlib.suppress(CliError):
        stored = {info.user.public_key for info in cluster.ask(LIST_USERS, Empty()).users}
        if request.public_key in stored:
            cluster.ask(REMOVE_USER, UserRef(name=request.name))


def _words(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word.strip() for text in texts for word in text.split(",") if word.strip())
