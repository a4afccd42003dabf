"""The files over /etc."""

from pathlib import Path

import pytest
from tests.unit.seaway_agent.container.hooks.peers import JOINED, NOTHING, PEER, peers, request

from seaway_agent.container.hooks.etc_files import EtcFilesHook, etc_files
from seaway_agent.layout import Layout
from seaway_agent.network.resolvconf import without_comments
from seaway_agent.runtime.contribution import Contribution
from seaway_contracts.containers import Endpoint
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.networks import network_id
from seaway_testing import builders

BRIDGE = Endpoint(network="bridge", network_id=network_id("bridge"), address="172.18.0.2", gateway="172.18.0.1")
BACK = Endpoint(network="back", network_id="b" * 64, address="10.1.0.2", gateway="10.1.0.1", ipv6_address="fd00::2")


def test_the_files_of_another_containers_network(tmp_path: Path) -> None:
    layout = Layout(tmp_path, tmp_path)
    bundle = layout.bundle(PEER)
    bundle.mkdir(parents=True)
    (bundle / "hosts").write_bytes(b"1.2.3.4 x\xff\n")
    (bundle / "resolv.conf").write_bytes(b"x" * (2 << 20))
    asked = request(network=builders.networking(JOINED))
    parts = EtcFilesHook(peers(), layout).prepare(asked, NOTHING)
    assert parts.files == {"hosts": "1.2.3.4 x\udcff\n", "hostname": "", "resolv.conf": ""}


def test_all_that_was_asked_for(tmp_path: Path) -> None:
    network = builders.networking(
        hostname="mine",
        domainname="dom",
        extra_hosts=("db:10.0.0.5", "up:host-gateway"),
        dns=("1.2.3.4",),
        dns_search=("x.y",),
    )
    before = Contribution(endpoints=(BRIDGE,))
    files = EtcFilesHook(peers(), Layout(tmp_path, tmp_path)).prepare(request(network=network), before).files
    assert files["hostname"] == "mine\n"
    lines = [line.split() for line in files["hosts"].splitlines()]
    assert ["172.18.0.2", "mine.dom", "mine"] in lines
    assert ["10.0.0.5", "db"] in lines
    assert ["172.18.0.1", "up"] in lines
    assert ["127.0.0.1", "localhost"] in lines
    assert "nameserver 1.2.3.4" in files["resolv.conf"]
    assert "search x.y" in files["resolv.conf"]


def test_a_bad_extra_host_is_refused() -> None:
    spec = builders.spec(network=builders.networking(extra_hosts=("db:not-an-address",)))
    with pytest.raises(SeawayError) as refused:
        etc_files(spec, (BRIDGE,))
    assert refused.value.code is Code.BAD_REQUEST


def test_bad_nameservers_are_refused() -> None:
    spec = builders.spec(network=builders.networking("none", dns=("1.1.1.1", "x")))
    with pytest.raises(SeawayError) as refused:
        etc_files(spec, (Endpoint(network="none", network_id=network_id("none")),))
    assert refused.value.message == 'bad nameserver address x: ParseAddr("x"): unable to parse IP'


def test_linked_names_stand_before_the_containers_own() -> None:
    spec = builders.spec(network=builders.networking(hostname="h", extra_hosts=("a:1.2.3.4",)))
    lines = etc_files(spec, (BRIDGE,), [("172.18.0.9", "db abc")])["hosts"].splitlines()
    assert lines[-3:] == ["1.2.3.4\ta", "172.18.0.9\tdb abc", "172.18.0.2\th"]


def test_all_addresses_stand_in_the_hosts_file() -> None:
    spec = builders.spec(network=builders.networking(hostname="h", extra_hosts=("up:host-gateway",)))
    lines = etc_files(spec, (BACK, BRIDGE))["hosts"].splitlines()
    assert "172.18.0.1\tup" in lines
    assert lines[-3:] == ["10.1.0.2\th", "fd00::2\th", "172.18.0.2\th"]


def test_without_the_default_network_the_host_is_the_first_gateway() -> None:
    spec = builders.spec(network=builders.networking(hostname="h", extra_hosts=("up:host-gateway",)))
    assert "10.1.0.1\tup" in etc_files(spec, (BACK,))["hosts"].splitlines()


@pytest.mark.parametrize("sandbox", ["none", "host"])
def test_without_any_gateway_the_host_is_that_of_the_default_network(tmp_path: Path, sandbox: str) -> None:
    network = builders.networking(sandbox, extra_hosts=("up:host-gateway",))
    hook = EtcFilesHook(peers(), Layout(tmp_path, tmp_path), lambda: "172.18.0.1")
    assert "172.18.0.1\tup" in hook.prepare(request(network=network), NOTHING).files["hosts"].splitlines()


def test_in_a_network_of_users_the_internal_resolver_is_the_nameserver() -> None:
    network = builders.networking(dns=("1.2.3.4",), dns_search=("a.b",), dns_options=("timeout:2",))
    spec = builders.spec(network=network)
    inside, outside = (without_comments(etc_files(spec, ends)["resolv.conf"]) for ends in ((BRIDGE, BACK), (BRIDGE,)))
    assert inside == "nameserver 127.0.0.11\nsearch a.b\noptions timeout:2 ndots:0\n"
    assert outside == "nameserver 1.2.3.4\nsearch a.b\noptions timeout:2\n"
