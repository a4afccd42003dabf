"""Serves tokens, and their exchange for identities: how a machine becomes a node."""

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from seaway_bus.bus import Bus, Command
from seaway_bus.node_keys import BadKey, check_public_key
from seaway_bus.outbox import Outbox
from seaway_bus.transport import TransportError
from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_contracts.channels import EventChannel
from seaway_contracts.errors import Code, SeawayError, bad_request, conflict, not_found, unavailable
from seaway_contracts.joining import (
    AdmitNode,
    AdmittedNode,
    CreateToken,
    IdentityList,
    JoinToken,
    NodeCheck,
    NodeIdentity,
    TokenEvent,
    TokenInfo,
    TokenList,
    TokenRef,
    check_admit,
    check_create,
)
from seaway_contracts.lifecycle import CLUSTER, Envelope
from seaway_contracts.nodes import NodeEvent
from seaway_contracts.version import VERSION
from seaway_kit.failpoints import Failpoint, reach
from seaway_metadata.kinds.identities import Identities, Tokens

log = logging.getLogger(__name__)
_S: Final = 10**9
_NEW_NS: Final = 600 * _S
_IN_HAND: Final = 128
"""Requests to join at once. Whoever has had a token may send them: they must not use up what the bus takes in hand."""
_REFUSED_A_MINUTE: Final = 60
_REPEATS_A_MINUTE: Final = 20
"""Of each node, that have NATS reload. `seaway join` repeats its request about every 5 s."""
_SENTENCES: Final = {
    "unknown": "this cluster has no such token, or it was removed: `seaway token create` makes one",
    "expired": "the token has expired: `seaway token create` makes a new one",
    "used": "the token was used as often as it may be, or by another machine of this name: "
    "`seaway token create` makes a new one",
    "key": "this machine's key is another node's already: give the name with which it was to join before (--node), or "
    "another --root",
}


class Joining:
    """The handlers of one copy of metadata."""

    def __init__(
        self,
        bus: Bus,
        tokens: Tokens,
        identities: Identities,
        known: Callable[[str], bool],
        outbox: Outbox,
        reload: Callable[[], None] = lambda: None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`known`: whether there is a record of the node of that name. `reload` has NATS read its configuration."""
        self._bus = bus
        self._tokens = tokens
        self._identities = identities
        self._known = known
        self._outbox = outbox
        self._reload = reload
        self._now_ns = now_ns
        self._in_hand = 0
        self._refusals = Budget(_REFUSED_A_MINUTE)
        self._repeats = Budget(_REPEATS_A_MINUTE)

    async def serve(self) -> None:
        """Subscribe to the calls."""
        serve = self._bus.serve
        await serve(catalogue.CREATE_TOKEN, self.create)
        await serve(catalogue.LIST_TOKENS, self.list_tokens)
        await serve(catalogue.REMOVE_TOKEN, self.remove)
        await serve(catalogue.ADMIT_NODE, self.admit)
        await serve(catalogue.LIST_IDENTITIES, self.list_identities)
        await serve(catalogue.CHECK_NODE, self.check)

    # --- tokens

    async def create(self, request: CreateToken, command: Command) -> TokenInfo:
        """Store a token. Raises SeawayError: BAD_REQUEST, CONFLICT."""
        check_create(request)
        now_ns = self._now_ns()
        token = JoinToken(
            id=request.id,
            hash=request.hash,
            created_ns=now_ns,
            expires_ns=now_ns + request.ttl_s * _S,
            uses=request.uses,
            labels=request.labels,
        )
        try:
            await self._tokens.sweep(now_ns)
            stored = await self._tokens.add(token)
        except (TransportError, ValueError) as error:
            raise _unreachable(error) from error
        if stored is None:
            raise conflict(f"another token has the id {request.id}: create one anew")
        self._publish_token(catalogue.TOKEN_CREATE, stored, command)
        return stored.info

    async def list_tokens(self, request: Empty, command: Command) -> TokenList:
        """All of them, without their secrets."""
        try:
            return TokenList(tokens=tuple(token.info for token in await self._tokens.all()))
        except (TransportError, ValueError) as error:
            raise _unreachable(error) from error

    async def remove(self, request: TokenRef, command: Command) -> TokenInfo:
        """Remove a token. Nodes that joined by it stay. Raises SeawayError: NOT_FOUND."""
        try:
            removed = await self._tokens.remove(request.id)
        except (TransportError, ValueError) as error:
            raise _unreachable(error) from error
        if removed is None:
            raise not_found(f"no such token: {request.id}")
        self._publish_token(catalogue.TOKEN_REMOVE, removed, command)
        return removed.info

    # --- nodes

    async def admit(self, request: AdmitNode, command: Command) -> AdmittedNode:
        """Exchange a token for an identity; the same request again has the same outcome and costs no use.

        Raises SeawayError: BAD_REQUEST; FORBIDDEN for a token that doesn't admit anybody; CONFLICT for a name or a key
        that another node has.
        """
        _check(request)
        if self._in_hand >= _IN_HAND:
            raise unavailable("many machines want to join at this moment; try again later")
        self._in_hand += 1
        try:
            return await self._admit(request, command)
        except (TransportError, ValueError) as error:
            raise _unreachable(error) from error
        finally:
            self._in_hand -= 1

    async def _admit(self, request: AdmitNode, command: Command) -> AdmittedNode:
        token, why = await self._tokens.use(request, self._now_ns())
        if why or token is None:
            raise self._refused(request, command, why)
        reach(Failpoint.ADMIT_TOKEN_USED)
        known = await self._identities.get(request.node)
        identity, why = (known, _same(known, request)) if known else await self._bind(request, token)
        if why or identity is None:
            await self._tokens.give_back(request)
            raise self._refused(request, command, why)
        if identity.token != token.id:  # it had joined by another token
            await self._tokens.give_back(request)
        reach(Failpoint.ADMIT_RECORDED)
        now_ns, is_new = self._now_ns(), known is None
        if is_new or (now_ns - identity.since_ns < _NEW_NS and self._repeats.take(now_ns, identity.node)):
            self._tell_admitted(identity, command)  # also if the copy that stored it has died: its id is the same
            self._reload()  # a server may need a second one for a new account
        return AdmittedNode(identity=identity, time_ns=self._now_ns(), version=VERSION)

    async def _bind(self, request: AdmitNode, token: JoinToken) -> tuple[NodeIdentity | None, str]:
        """The new identity; or why there is none (a key of `_SENTENCES`, or `name`), and then it leaves none."""
        if self._known(request.node):
            return None, "name"
        identity = await self._identities.add(_identity(request, token, self._now_ns()))
        if identity is None:
            return None, "name"
        why = ""
        if request.node not in {one.node for one in await self._identities.all()}:
            why = "key"
        elif not await self._tokens.has_used(request):
            why = "used"
        if why:
            await self._identities.remove(request.node)
        return identity, why

    async def revoke(self, node: str) -> bool:
        """Remove a node's identity, because the node is removed; whether it had one. Raises SeawayError."""
        try:
            identity = await self._identities.get(node)
            if identity is None:
                return False
            await self._tokens.burn(node)
            reach(Failpoint.REVOKE_TOKEN_BURNED)
            await self._identities.remove(node)
            reach(Failpoint.REVOKE_RECORDED)
        except (TransportError, ValueError) as error:
            raise _unreachable(error) from error
        self._reload()
        return True

    async def list_identities(self, request: Empty, command: Command) -> IdentityList:
        """All nodes that joined by tokens."""
        try:
            return IdentityList(identities=tuple(await self._identities.all()))
        except (TransportError, ValueError) as error:
            raise _unreachable(error) from error

    async def check(self, request: Empty, command: Command) -> NodeCheck:
        """Metadata's clock and version."""
        return NodeCheck(time_ns=self._now_ns(), version=VERSION)

    # --- events

    def _tell_admitted(self, identity: NodeIdentity, command: Command) -> None:
        log.info("node %s was admitted by the token %s", identity.node, identity.token)
        attributes = {"name": identity.node, "token": identity.token}
        event_id = f"node-{identity.node}-admit-{identity.since_ns}"
        body = NodeEvent(node=identity.node, attributes=attributes)
        actor = f"token:{identity.token}"
        self._tell(catalogue.NODE_ADMIT, event_id, identity.node, body, command, actor)

    def _refused(self, request: AdmitNode, command: Command, why: str) -> SeawayError:
        """The error. An event is published too, but not so many that they fill the stream."""
        error = _refusal(request, why)
        log.warning("node %s was refused (token %s): %s", request.node, request.token, error.message)
        if self._refusals.take(self._now_ns()):
            body = NodeEvent(node=request.node, reason=why, attributes={"name": request.node, "token": request.token})
            self._tell(catalogue.NODE_REFUSE, f"node-{request.node}-refuse-{command.id}", CLUSTER, body, command)
        return error

    def _tell(
        self,
        channel: EventChannel[NodeEvent],
        event_id: str,
        node: str,
        body: NodeEvent,
        command: Command,
        actor: str = "",
    ) -> None:
        """The actor is never that of the command: whoever wants to join could claim to be anybody."""
        envelope = Envelope(
            id=event_id,
            node=node,
            noun=channel.noun,
            action=channel.action,
            subject_id=body.node,
            time_ns=self._now_ns(),
            cause=command.id,
            actor=actor,
        )
        self._outbox.tell(channel, envelope, body)

    def _publish_token(self, channel: EventChannel[TokenEvent], token: JoinToken, command: Command) -> None:
        """Publish the event of a token once, however often this is called."""
        envelope = Envelope(
            id=f"token-{channel.action}-{token.id}",
            node=CLUSTER,
            noun=channel.noun,
            action=channel.action,
            subject_id=token.id,
            time_ns=self._now_ns(),
            cause=command.id,
            actor=command.actor,
        )
        labels = {f"label.{key}": value for key, value in token.labels.items()}
        attributes = {"uses": str(token.uses), "expires": _rfc3339(token.expires_ns), **labels}
        self._outbox.tell(channel, envelope, TokenEvent(token=token.id, attributes=attributes))


class Budget:
    """A limit of so many a minute, for each key."""

    def __init__(self, a_minute: int) -> None:
        self._a_minute = a_minute
        self._minute = 0
        self._taken: Counter[str] = Counter()

    def take(self, now_ns: int, key: str = "") -> bool:
        """Count one; whether it is within the budget."""
        minute = now_ns // (60 * _S)
        if minute != self._minute:
            self._minute = minute
            self._taken.clear()
        self._taken[key] += 1
        return self._taken[key] <= self._a_minute


def _same(known: NodeIdentity, request: AdmitNode) -> str:
    return "" if known.public_key == request.public_key else "name"


def _refusal(request: AdmitNode, why: str) -> SeawayError:
    if why == "name":
        return conflict(
            f"the cluster has a node {request.node} already: give this one another name (--node), or remove "
            f"that one first (`seaway node rm {request.node}`)"
        )
    return conflict(_SENTENCES[why]) if why == "key" else SeawayError(Code.FORBIDDEN, _SENTENCES[why])


def _check(request: AdmitNode) -> None:
    check_admit(request)
    try:
        check_public_key(request.public_key)
    except BadKey as error:
        raise bad_request(str(error)) from None


def _identity(request: AdmitNode, token: JoinToken, now_ns: int) -> NodeIdentity:
    return NodeIdentity(
        node=request.node, public_key=request.public_key, since_ns=now_ns, token=token.id, labels=token.labels
    )


def _rfc3339(ns: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ns // _S))


def _unreachable(error: Exception) -> SeawayError:
    return unavailable(f"the records of nodes and tokens can't be reached just now: {error}; try again")
