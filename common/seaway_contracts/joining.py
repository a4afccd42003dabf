"""Joining: tokens, by which a machine becomes a node, and the identities that nodes get for them."""

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final

from pydantic import Field

from seaway_contracts.base import Payload
from seaway_contracts.errors import bad_request
from seaway_contracts.ids import check_node
from seaway_contracts.node_settings import check_label

PREFIX: Final = "SWTKN"
MOST_USES: Final = 1000
MOST_TTL_S: Final = 365 * 86_400
_TOKEN: Final = re.compile(rf"{PREFIX}-([0-9a-f]{{12}})-([0-9a-f]{{32}})-([A-Za-z0-9_-]{{1,128}})")
_ID: Final = re.compile(r"[0-9a-f]{12}")
_SECRET: Final = re.compile(r"[0-9a-f]{32}")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_KEY: Final = re.compile(r"U[A-Z2-7]{55}")
_MOST_LABELS: Final = 64


@dataclass(frozen=True)
class TokenText:
    """A token as its user gets it. `password`: of the NATS user `join`, with which nothing but joining is possible."""

    id: str
    secret: str
    password: str

    def __str__(self) -> str:
        return f"{PREFIX}-{self.id}-{self.secret}-{self.password}"

    def __repr__(self) -> str:
        return f"TokenText({self.id})"


def parse_token(text: str) -> TokenText:
    """The parts of a token; raises ValueError for anything else, without repeating it: it may be a secret."""
    found = _TOKEN.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"this is no token: one begins with {PREFIX}- and is printed by `seaway token create`")
    return TokenText(*found.groups())


def hash_of(secret: str) -> str:
    """The hash by which a token's secret is stored. A plain one is enough: a secret has 128 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


class CreateToken(Payload):
    """Store a token. The secret itself does not leave the machine on which it was made."""

    id: str
    hash: str
    ttl_s: int
    uses: int = 1
    labels: dict[str, str] = Field(default_factory=dict)


class TokenInfo(Payload):
    """A token without its secret. `joined`: the nodes that have used it."""

    id: str
    created_ns: int
    expires_ns: int
    uses: int
    labels: dict[str, str] = Field(default_factory=dict)
    joined: tuple[str, ...] = ()


class TokenList(Payload):
    """All tokens that are stored, the oldest first."""

    tokens: tuple[TokenInfo, ...] = ()


class TokenRef(Payload):
    """A token by its id."""

    id: str


class TokenEvent(Payload):
    """A token was made or removed. Its attributes: `uses`, `expires` (RFC 3339), `label.KEY`; never its secret."""

    token: str
    attributes: dict[str, str] = Field(default_factory=dict)


class JoinToken(Payload):
    """A token as metadata stores it. `joined`: public key by node; each is one use."""

    id: str
    hash: str
    created_ns: int
    expires_ns: int
    uses: int
    labels: dict[str, str] = Field(default_factory=dict)
    joined: dict[str, str] = Field(default_factory=dict)

    @property
    def info(self) -> TokenInfo:
        """The token without its hash and keys."""
        return TokenInfo(
            id=self.id,
            created_ns=self.created_ns,
            expires_ns=self.expires_ns,
            uses=self.uses,
            labels=self.labels,
            joined=tuple(sorted(self.joined)),
        )


class AdmitNode(Payload):
    """Exchange a token for an identity: the public nkey of a pair that was made on the node."""

    token: str
    secret: str
    node: str
    public_key: str


class NodeIdentity(Payload):
    """A node that was admitted, and its public key. NATS lets only the holder of the private key log in as the node."""

    node: str
    public_key: str
    since_ns: int
    token: str = ""
    labels: dict[str, str] = Field(default_factory=dict)


class AdmittedNode(Payload):
    """The identity, and metadata's clock (Unix ns) and version, for the node to compare with its own."""

    identity: NodeIdentity
    time_ns: int
    version: str


class IdentityList(Payload):
    """All nodes that joined by tokens, by name."""

    identities: tuple[NodeIdentity, ...] = ()


class NodeCheck(Payload):
    """The clock (Unix ns) and the version of metadata."""

    time_ns: int
    version: str


# --- checks


def check_create(request: CreateToken) -> None:
    """Raise SeawayError (BAD_REQUEST) for a malformed token, or limits that are out of range."""
    if not _ID.fullmatch(request.id) or not _HASH.fullmatch(request.hash):
        raise bad_request("a token needs an id of 12 and a hash of 64 hex digits")
    if not 1 <= request.uses <= MOST_USES:
        raise bad_request(f"{request.uses} uses: a token may be used 1 to {MOST_USES} times")
    if not 1 <= request.ttl_s <= MOST_TTL_S:
        raise bad_request(f"a token may be valid for 1 second to {MOST_TTL_S // 86_400} days")
    check_labels(request.labels)


def check_labels(labels: dict[str, str]) -> None:
    """Raise SeawayError (BAD_REQUEST) for labels that no node can have."""
    if len(labels) > _MOST_LABELS:
        raise bad_request(f"{len(labels)} labels: a node may get {_MOST_LABELS} by its token")
    for key, value in labels.items():
        check_label(key, value)


def check_admit(request: AdmitNode) -> None:
    """Raise SeawayError (BAD_REQUEST) for a name that no node may have, a malformed token or public key.

    The request comes from a stranger: nothing of a malformed token is repeated, logged or published.
    """
    if not is_token_id(request.token) or not _SECRET.fullmatch(request.secret):
        raise bad_request("the token is malformed: give it as `seaway token create` printed it")
    try:
        check_node(request.node)
    except ValueError as error:
        raise bad_request(str(error)) from None
    if not is_public_key(request.public_key):
        raise bad_request("the public key must be a user's nkey: U and 55 more characters")


def is_public_key(text: str) -> bool:
    """Whether it has the form of a user's public nkey. `seaway_bus.node_keys` checks the checksum too."""
    return _KEY.fullmatch(text) is not None


def is_token_id(text: str) -> bool:
    """Whether a token may have this id."""
    return _ID.fullmatch(text) is not None


def refusal(token: JoinToken | None, request: AdmitNode, now_ns: int) -> str:
    """Why a token does not admit this node, in one word: `unknown`, `expired` or `used`; empty if it does.

    A wrong secret is `unknown` as well. A node that has used the token with the same key may repeat its request, also
    after the token has expired.
    """
    if token is None or not hmac.compare_digest(token.hash, hash_of(request.secret)):
        return "unknown"
    if token.joined.get(request.node) == request.public_key:
        return ""
    if now_ns >= token.expires_ns:
        return "expired"
    return "used" if len(token.joined) >= token.uses or request.node in token.joined else ""


def used(token: JoinToken, node: str, public_key: str) -> JoinToken:
    """The token after that node has used it."""
    return token.model_copy(update={"joined": {**token.joined, node: public_key}})


def given_back(token: JoinToken, node: str, public_key: str) -> JoinToken:
    """The token after nothing came of that node's use."""
    if token.joined.get(node) != public_key:
        return token
    return token.model_copy(update={"joined": {one: key for one, key in token.joined.items() if one != node}})
