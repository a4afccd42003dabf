"""`POST /build` in a network of users: its node, and the addresses that are leased while the build runs."""

from typing import Any

import pytest

from seaway_api.builds import network as building
from seaway_bus.bus import Command
from seaway_bus.streams import ByteStream
from seaway_contracts import catalogue as cat
from seaway_contracts.base import Empty
from seaway_contracts.builds import BuildPlan, BuildRecord, BuildStep, CancelledBuild, StartBuild
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.images import BlobEndpoint
from seaway_contracts.networks import NetworkRecord, Pool
from seaway_testing import builders
from seaway_testing.waiting import until

BACK = "b" * 64
_TAR = b"\0" * 1024
PLAN = BuildPlan(
    steps=(BuildStep(stage=0, text="FROM scratch"), BuildStep(stage=0, text="COPY a /")), stages=1, froms=("scratch",)
)
IMAGE = "sha256:" + "a" * 64


def network(*nodes: str, **changes: Any) -> NetworkRecord:
    pools = (Pool(subnet="10.1.0.0/24", gateway="10.1.0.1"),)
    fields = {"id": BACK, "name": "back", "created_ns": builders.START_NS, "pools": pools, "nodes": nodes}
    return NetworkRecord(**fields | changes)


class Builder:
    """A node that builds; `waits`: it says nothing after the plan."""

    def __init__(self, rig: Any, node: str = "n1") -> None:
        self.rig = rig
        self.node = node
        self.waits = False
        self.refusal: SeawayError | None = None
        self.running = 2
        """So often it says that it has the build still."""

    async def serve(self) -> "Builder":
        suite = self.rig.suite
        await suite.bus.serve(cat.START_BUILD, self.start, node=self.node)
        await suite.bus.serve(cat.CANCEL_BUILD, suite._handler("build.cancel", self.cancel), node=self.node)
        await suite.bus.serve(cat.GRANT_BUILD, suite._handler("grant build", self.grant))
        await suite.bus.serve(cat.REVOKE_BUILD, suite._handler("revoke build", suite._empty))
        return self

    async def grant(self, _: Any) -> Any:
        return BlobEndpoint(url="http://image", token="t")

    async def cancel(self, _: Any) -> CancelledBuild:
        self.running -= 1
        return CancelledBuild(found=self.running > 0)

    async def start(self, asked: StartBuild, command: Command) -> Empty:
        suite = self.rig.suite
        suite.calls.append(("build.start", asked))
        if self.refusal is not None:
            raise self.refusal
        stream = await suite.bus.serve_stream(asked.stream, suite.tasks).open()
        context = await suite.bus.serve_stream(asked.context, suite.tasks).open()
        suite.tasks.spawn("build", self.build(stream, context))
        return Empty()

    async def build(self, stream: ByteStream, context: ByteStream) -> None:
        while await context.read():
            pass
        await context.end()
        await stream.write(_line(BuildRecord(kind="plan", plan=PLAN)))
        while await stream.read():
            pass
        if not self.waits:
            await stream.write(_line(BuildRecord(kind="end", text=IMAGE)))
            await stream.end()


def _line(record: BuildRecord) -> bytes:
    return record.model_dump_json().encode() + b"\n"


async def post(rig: Any, mode: str = "back") -> Any:
    return await rig.call("POST", f"/build?networkmode={mode}&q=1", _TAR, Content_Type="application/x-tar")


def done(rig: Any) -> list[str]:
    """What was asked, as far as it is about placing and addresses."""
    known = ("place", "network.lease", "build.start", "build.cancel", "network.unlease", "unplace")
    return [kind for kind, _ in rig.suite.calls if kind in known]


async def test_a_build_leases_an_address_and_gives_it_back(rig: Any) -> None:
    rig.suite.networks.add(network())
    await Builder(rig).serve()
    answer = await post(rig)
    assert answer.status == 200 and IMAGE[7:] in answer.body.decode(), answer.body
    assert done(rig) == ["place", "network.lease", "build.start", "network.unlease", "unplace"]
    kinds = ("network.lease", "build.start", "network.unlease")
    (lease,), (started,), (back,) = map(rig.suite.named, kinds)
    assert (lease.network, lease.node, lease.build) == (BACK, "n1", started.id)
    assert (started.options.network, started.joins.network.id) == (BACK, BACK)
    assert started.joins.endpoint.claimed_ipv4 == back.endpoint.claimed_ipv4 == "10.1.0.7"
    assert back.build == started.id


async def test_it_goes_to_the_node_of_its_network(rig: Any) -> None:
    rig.suite.networks.add(network("n2"))
    await Builder(rig, "n2").serve()
    assert (await post(rig)).status == 200
    assert [one.node for one in rig.suite.named("place")] == ["", "n2"]
    assert [one.node for one in rig.suite.named("network.lease")] == ["n1", "n2"]
    assert len(rig.suite.named("network.unlease")) == 1


async def test_the_node_of_its_network_can_not_build(rig: Any) -> None:
    rig.suite.networks.add(network("n2"))

    async def no_builder() -> None:
        if rig.suite.named("place")[-1].node:
            raise SeawayError(Code.UNPLACEABLE, "no builder (apt-get install buildah)")

    rig.suite.meanwhile["place"] = no_builder
    answer = await post(rig)
    assert answer.status == 500, "as for a container that no node can take"
    assert answer.json["message"] == (
        "network back is on node n2, where this can't be built: no builder (apt-get install buildah)"
    )
    assert "network.unlease" not in done(rig)


async def test_addresses_are_kept_until_a_broken_build_has_left_its_node(
    rig: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "_RENEWED_S", 0.01)
    rig.suite.networks.add(network())
    builder = await Builder(rig).serve()
    builder.waits = True
    wire = await rig.wire()
    wire.send(
        f"POST /build?networkmode=back HTTP/1.1\r\nHost: d\r\nContent-Length: {len(_TAR)}\r\n\r\n".encode() + _TAR
    )
    await until(lambda: len(rig.suite.named("network.lease")) > 3, what="renewals")
    renewal = rig.suite.named("network.lease")[-1]
    assert renewal.endpoint.claimed_ipv4 == "10.1.0.7"
    assert not rig.suite.named("network.unlease")
    wire.close()
    await until(lambda: rig.suite.named("network.unlease"), what="the address to be given back")
    assert len(rig.suite.named("build.cancel")) == 2
    count = len(rig.suite.named("network.lease"))
    await rig.quiet()
    assert len(rig.suite.named("network.lease")) == count


async def test_a_build_that_its_node_refuses_gives_its_addresses_back(rig: Any) -> None:
    rig.suite.networks.add(network())
    builder = await Builder(rig).serve()
    builder.refusal, builder.running = SeawayError(Code.UNAVAILABLE, "no builder"), 0
    assert (await post(rig)).status == 503
    assert len(rig.suite.named("network.unlease")) == 1


@pytest.mark.parametrize("mode", ["", "default", "bridge", "none", "host"])
async def test_other_networks_need_no_lease(rig: Any, mode: str) -> None:
    await Builder(rig).serve()
    assert (await post(rig, mode)).status == 200
    assert not rig.suite.named("network.lease") and rig.suite.named("build.start")[0].joins is None


async def test_a_network_that_is_not_there(rig: Any) -> None:
    answer = await post(rig, "nope")
    assert (answer.status, answer.json["message"]) == (404, "network nope not found")
    assert not rig.suite.named("place")
