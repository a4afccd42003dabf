"""Tokens and identities in their buckets, changed by compare and set alone: any copy of metadata may do it.

Both are few and rarely read, so no copy caches them: each request reads the buckets.
"""

from typing import Final, TypeVar

from seaway_bus.transport import Bucket, WrongRevision
from seaway_contracts.base import Payload
from seaway_contracts.joining import AdmitNode, JoinToken, NodeIdentity, given_back, is_token_id, refusal, used
from seaway_metadata.store.stored import decode, encode

P = TypeVar("P", bound=Payload)
KEEP_EXPIRED_NS: Final = 7 * 86_400 * 10**9
"""How long an expired token is kept: until then `token ls` and refusals say what became of it."""


class Tokens:
    """The bucket of tokens. All methods raise TransportError; ValueError for an entry that can't be read."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def add(self, token: JoinToken) -> JoinToken | None:
        """Store a token; return what is stored, or None where another token has that id."""
        try:
            await self._bucket.create(token.id, encode(token))
        except WrongRevision:
            found = await self.get(token.id)
            return found if found is not None and found.hash == token.hash else None
        return token

    async def get(self, identifier: str) -> JoinToken | None:
        """The token of that id, None where there is none."""
        found = await self._bucket.get(identifier) if is_token_id(identifier) else None
        return decode(JoinToken, found.value) if found else None

    async def all(self) -> list[JoinToken]:
        """All tokens, the oldest first."""
        found = [decode(JoinToken, entry.value) async for entry in self._bucket.entries()]
        return sorted(found, key=lambda token: (token.created_ns, token.id))

    async def remove(self, identifier: str) -> JoinToken | None:
        """Remove a token; return it as it was, or None where there is none."""
        found = await self.get(identifier)
        if found is not None:
            await self._bucket.delete(identifier)
        return found

    async def sweep(self, now_ns: int) -> None:
        """Remove tokens that expired `KEEP_EXPIRED_NS` ago."""
        for token in await self.all():
            if token.expires_ns + KEEP_EXPIRED_NS < now_ns:
                await self._bucket.delete(token.id)

    async def use(self, request: AdmitNode, now_ns: int) -> tuple[JoinToken | None, str]:
        """Count one use of the token; the token, and why it does not admit the node (`joining.refusal`), or ``""``."""
        while True:
            found = await self._bucket.get(request.token) if is_token_id(request.token) else None
            token = decode(JoinToken, found.value) if found else None
            why = refusal(token, request, now_ns)
            if found is None or token is None or why or request.node in token.joined:
                return token, why
            if await self._update(used(token, request.node, request.public_key), found.revision):
                return token, ""

    async def give_back(self, request: AdmitNode) -> None:
        """Undo a use that led to no identity."""
        while (found := await self._bucket.get(request.token)) is not None:
            token = decode(JoinToken, found.value)
            less = given_back(token, request.node, request.public_key)
            if less is token or await self._update(less, found.revision):
                return

    async def has_used(self, request: AdmitNode) -> bool:
        """Whether the use is still counted: neither the token nor the node was removed meanwhile."""
        token = await self.get(request.token)
        return token is not None and token.joined.get(request.node) == request.public_key

    async def burn(self, node: str) -> None:
        """Keep a removed node from joining again by any use of a token that it has had."""
        for token in await self.all():
            if node in token.joined:
                await self._burn(token.id, node)

    async def _burn(self, identifier: str, node: str) -> None:
        while (found := await self._bucket.get(identifier)) is not None:
            token = decode(JoinToken, found.value)
            if not token.joined.get(node) or await self._update(used(token, node, ""), found.revision):
                return

    async def _update(self, token: JoinToken, revision: int) -> bool:
        try:
            await self._bucket.update(token.id, encode(token), revision)
        except WrongRevision:
            return False
        return True


class Identities:
    """The bucket of identities. All methods raise TransportError; ValueError for an entry that can't be read."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def get(self, node: str) -> NodeIdentity | None:
        """The identity of that node, None where it didn't join by a token."""
        found = await self._bucket.get(node)
        return decode(NodeIdentity, found.value) if found else None

    async def all(self) -> list[NodeIdentity]:
        """All identities, by name.

        A key is one node's: that which was stored first. A NATS server refuses its whole configuration where a key
        stands twice.
        """
        entries = sorted([entry async for entry in self._bucket.entries()], key=lambda entry: entry.revision)
        first: dict[str, NodeIdentity] = {}
        for identity in (decode(NodeIdentity, entry.value) for entry in entries):
            first.setdefault(identity.public_key, identity)
        return sorted(first.values(), key=lambda one: one.node)

    async def add(self, identity: NodeIdentity) -> NodeIdentity | None:
        """Store an identity; return what is stored, or None where that node has another key."""
        try:
            await self._bucket.create(identity.node, encode(identity))
        except WrongRevision:
            found = await self.get(identity.node)
            return found if found is not None and found.public_key == identity.public_key else None
        return identity

    async def remove(self, node: str) -> None:
        """Remove a node's identity."""
        await self._bucket.delete(node)
