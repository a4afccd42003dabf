"""`seaway token`: tokens by which machines join, at the cluster of the suite that runs here."""

import json
import re
import secrets
import shlex
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from seaway_bus.ask_once import ask_once
from seaway_cli import commands, suite
from seaway_cli.errors import CliError, Refused, usage
from seaway_cli.layout import Layout
from seaway_cli.nats_login import operator
from seaway_cli.permissions import API, JOIN
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import CREATE_TOKEN, LIST_IDENTITIES, LIST_TOKENS, REMOVE_TOKEN
from seaway_contracts.channels import CallChannel, Q, R
from seaway_contracts.errors import SeawayError
from seaway_contracts.joining import CreateToken, TokenInfo, TokenRef, TokenText, check_labels, hash_of, parse_token
from seaway_kit.addresses import is_loopback, nats_endpoints

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_S: Final = 10**9


@dataclass(frozen=True)
class Cluster:
    """A cluster, as its command line reaches it: by its URL and a directory with a password for each NATS user.

    Without that directory its NATS server has no users. `own`: the suite that runs here, if the server is its own.
    """

    url: str
    passwords: Path | None
    ca: Path | None
    own: Layout | None = None

    @classmethod
    def of(cls, layout: Layout) -> "Cluster":
        """The cluster of the suite that runs here. Raises CliError where none runs."""
        suite.identify(layout)
        status: dict[str, Any] = commands.status(layout.run)
        passwords, ca = (Path(status[name]) if status[name] else None for name in ("passwords", "nats_ca"))
        return cls(status["nats"], passwords, ca, layout if status["own_nats"] else None)

    def password(self, user: str) -> str:
        """Raises CliError where there is none."""
        if self.passwords is None:
            raise CliError("the cluster's NATS server has no users, so nobody could be kept out: nodes can't join")
        try:
            return (self.passwords / user).read_text().strip()
        except OSError as error:
            raise CliError(f"the password of the NATS user {user} can't be read: {error}") from None

    def ask(self, channel: CallChannel[Q, R], request: Q) -> R:
        """Ask as the API's user: that of the command line is also subscribers', who change nothing.

        Raises Refused, or CliError where it is not known whether it was done.
        """
        user, password = (API, self.password(API)) if self.passwords else ("", "")
        try:
            return ask_once(channel, request, url=self.url, user=user, password=password, ca=self.ca, actor=operator())
        except SeawayError as error:
            raise (Refused if error.status < 500 else CliError)(error.message) from None


def create(cluster: Cluster, ttl: str, uses: int, labels: Iterable[str]) -> tuple[TokenText, str]:
    """Make a token; return it, and text with the command to use it by. Raises CliError."""
    given = parse_labels(labels)
    token = TokenText(secrets.token_hex(6), secrets.token_hex(16), cluster.password(JOIN))
    try:
        parse_token(str(token))
    except ValueError:
        raise CliError(
            f"the password of the NATS user {JOIN} may only have the characters A-Z a-z 0-9 _ - in a token: "
            "change it at the server"
        ) from None
    request = CreateToken(id=token.id, hash=hash_of(token.secret), ttl_s=parse_ttl(ttl), uses=uses, labels=given)
    made = cluster.ask(CREATE_TOKEN, request)
    return token, _how_to_join(cluster, token, made)


def _how_to_join(cluster: Cluster, token: TokenText, made: TokenInfo) -> str:
    words = ["seaway", "join", cluster.url, "--token", str(token)]
    copied = ""
    if cluster.ca:
        words += ["--nats-ca", str(cluster.ca)]
        copied = f", with a copy of {cluster.ca}"
    where = f"On the machine that is to join{copied}:"
    if all(is_loopback(host) for host, _ in nats_endpoints(cluster.url)):
        where = "NATS listens on this machine only (`seaway up --listen ADDRESS` opens it to others). Here:"
    times = "once" if made.uses == 1 else f"{made.uses} times"
    until = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(made.expires_ns / _S))
    return f"The token {made.id} may be used {times} until {until}. {where}\n  {shlex.join(words)}"


def listed(cluster: Cluster, *, as_json: bool) -> str:
    """All tokens as a table, or as JSON. Raises CliError."""
    tokens = cluster.ask(LIST_TOKENS, Empty()).tokens
    if as_json:
        return json.dumps([token.model_dump() for token in tokens])
    rows = [("ID", "USED", "EXPIRES", "LABELS", "NODES")] + [_row(token, time.time_ns()) for token in tokens]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows)
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


def _row(token: TokenInfo, now_ns: int) -> tuple[str, ...]:
    left_ns = token.expires_ns - now_ns
    expires = f"in {left_ns / _S:.0f} s" if left_ns > 0 else "expired"
    labels = ",".join(f"{key}={value}" for key, value in sorted(token.labels.items()))
    return token.id, f"{len(token.joined)}/{token.uses}", expires, labels or "-", ",".join(token.joined) or "-"


def remove(cluster: Cluster, identifier: str) -> str:
    """Remove a token, by its id or whole. Raises CliError."""
    try:
        identifier = parse_token(identifier).id
    except ValueError:
        pass
    removed = cluster.ask(REMOVE_TOKEN, TokenRef(id=identifier))
    stay = f" Nodes that joined by it stay: {', '.join(removed.joined)}." if removed.joined else ""
    return f"The token {removed.id} was removed.{stay}"


def keys(cluster: Cluster) -> str:
    """`NODE=KEY` for each node that joined, as `deploy/nats/make-users` takes it. Raises CliError."""
    identities = cluster.ask(LIST_IDENTITIES, Empty()).identities
    return "\n".join(f"{one.node}={one.public_key}" for one in identities)


def parse_ttl(text: str, option: str = "--ttl") -> int:
    """Seconds: `90s`, `30m`, `1h`, `7d`. Raises CliError."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", text.strip())
    if found is None:
        raise usage(f"{option} {text!r}: write a number with s, m, h or d, such as 30m or 1h")
    return int(found[1]) * _UNITS[found[2]]


def parse_labels(texts: Iterable[str]) -> dict[str, str]:
    """Labels from `key=value`. Raises CliError."""
    labels: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or key in labels:
            raise usage(f"--label {text!r}: " + ("that key is there twice" if equals else "write it as KEY=VALUE"))
        labels[key] = value
    try:
        check_labels(labels)
    except SeawayError as error:
        raise usage(f"--label: {error.message}") from None
    return labels
