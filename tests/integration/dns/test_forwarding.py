"""Names that are not ours: asked at real nameservers, from the host's namespace or the container's."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import pytest
from tests.integration.dns.upstream import MANY, Upstream
from tests.namespaces import Namespace

from seaway_agent.dns import connection, port
from seaway_agent.dns.port import ADDRESS
from seaway_testing.waiting import GUARD_S

from .conftest import ON_HOST, WEB, Node, answers

pytestmark = pytest.mark.root
Serve = Callable[..., Upstream]
ONE, TWO = "1" * 64, "2" * 64


async def test_dig_finds_our_names_and_others(node: Node, serve: Serve) -> None:
    serve()
    await node.attach(ONE, ON_HOST)
    assert await node.dig(ONE, "+short", "web") == ["10.1.0.2"]
    assert await node.dig(ONE, "+short", "+tcp", "web.front") == ["10.1.0.2"]
    assert await node.dig(ONE, "+short", "+noedns", "one.example") == ["192.0.2.1"]
    assert await node.dig(ONE, "+short", "+tcp", "one.example") == ["192.0.2.1"]
    assert await node.dig(ONE, "+short", "-x", "10.1.0.2") == ["web.front."]
    ours = await node.dig(ONE, "web")
    assert any(line.split() == ["web.", "0", "IN", "A", "10.1.0.2"] for line in ours)
    assert any("status: NOERROR" in line for line in ours)


async def test_a_program_of_the_container_resolves_by_its_libc(node: Node, serve: Serve) -> None:
    serve()
    await node.attach(ONE, ON_HOST)
    inside = node.sandboxes[ONE]
    inside.run("ip", "address", "add", "10.1.0.2/32", "dev", "lo")  # getent looks for IPv4 where there is some
    ask = "mount --bind $1 /etc/resolv.conf && getent ahostsv4 $2"
    resolv_conf = node.run / "resolv.conf"
    resolv_conf.write_text(f"nameserver {ADDRESS}\noptions ndots:0\n")
    for name, address in (("web", "10.1.0.2"), ("one.example", "192.0.2.1")):
        shown = inside.run("unshare", "-m", "sh", "-c", ask, "sh", str(resolv_conf), name)
        assert shown.split()[0] == address


@pytest.mark.parametrize("tcp", [False, True])
async def test_codes_of_the_server_are_passed_on(node: Node, serve: Serve, tcp: bool) -> None:
    server = serve()
    await node.attach(ONE, ON_HOST)
    response = await node.query(ONE, "none.example", tcp=tcp)
    assert response.rcode() == dns.rcode.NXDOMAIN
    assert (await node.query(ONE, "empty.example", tcp=tcp)).rcode() == dns.rcode.NOERROR
    assert (await node.query(ONE, "failed.example", tcp=tcp)).rcode() == dns.rcode.SERVFAIL
    assert (await node.query(ONE, "refused.example", tcp=tcp)).rcode() == dns.rcode.SERVFAIL
    assert {protocol for protocol, _ in server.asked} == {"tcp" if tcp else "udp"}


async def test_a_long_response_comes_over_tcp(node: Node, serve: Serve) -> None:
    serve()
    await node.attach(ONE, ON_HOST)
    cut = await node.query(ONE, "many.example")
    assert cut.flags & dns.flags.TC
    whole = await node.query(ONE, "many.example", tcp=True)
    assert len(answers(whole)) == MANY
    assert len(await node.dig(ONE, "+short", "+bufsize=512", "many.example")) == MANY
    roomy = await node.query(ONE, "many.example", use_edns=0, payload=4000)
    assert not roomy.flags & dns.flags.TC
    assert len(answers(roomy)) == MANY


async def test_a_long_answer_of_ours_comes_over_tcp(node: Node) -> None:
    endpoints = tuple(replace(WEB, names=("all",), address=IPv4Address("10.1.0.2") + n) for n in range(60))
    await node.attach(ONE, endpoints=endpoints[:1])
    for number, endpoint in enumerate(endpoints[1:]):
        await node.attach(f"{number:064x}", endpoints=(endpoint,))
    cut = await node.query(ONE, "all")
    assert cut.flags & dns.flags.TC
    assert 0 < len(answers(cut)) < 60
    assert len(await node.dig(ONE, "+short", "+noedns", "all")) == 60
    assert len(answers(await node.query(ONE, "all", use_edns=0, payload=4096))) == 60


async def test_more_than_the_asker_takes_is_cut(node: Node, serve: Serve) -> None:
    serve()
    await node.attach(ONE, ON_HOST)
    response = await node.query(ONE, "huge.example", use_edns=0, payload=1232)
    assert response.flags & dns.flags.TC
    assert not response.answer
    assert answers(await node.query(ONE, "huge.example", tcp=True)) == ["192.0.2.1"]


async def test_edns_is_passed_on(node: Node, serve: Serve) -> None:
    server = serve()
    await node.attach(ONE, ON_HOST)
    cookie = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")
    query = dns.message.make_query("one.example", "A", use_edns=0, payload=1400, want_dnssec=True, options=[cookie])
    response = await node.exchange(ONE, query)
    _, asked = server.asked[0]
    assert (asked.edns, asked.payload, asked.ednsflags) == (0, 1400, dns.flags.DO)
    assert [option.otype for option in asked.options] == [dns.edns.OptionType.COOKIE]
    assert (response.edns, response.payload) == (0, 4000)
    assert answers(response) == ["192.0.2.1"]


async def test_what_does_not_belong_to_the_query_is_passed_over(node: Node, serve: Serve) -> None:
    serve()
    await node.attach(ONE, ON_HOST)
    assert answers(await node.query(ONE, "forged.example")) == ["192.0.2.1"]


# --- servers


async def test_the_next_server_is_asked_where_one_has_no_answer(node: Node, serve: Serve) -> None:
    serve(address="192.0.2.1")
    second = serve(host="127.0.0.54", address="192.0.2.2", steady=True)
    next_one = port.Upstream("127.0.0.54", True)
    await node.attach(ONE, port.Upstream("127.0.0.55", True), next_one)  # nobody is at the first
    assert answers(await node.query(ONE, "one.example")) == ["192.0.2.2"]
    assert answers(await node.query(ONE, "one.example", tcp=True)) == ["192.0.2.2"]
    await node.attach(ONE, ON_HOST, next_one)
    for word in ("silent", "garbage", "failed", "refused"):
        before = len(second.asked)
        assert answers(await node.query(ONE, f"{word}.example", again_s=GUARD_S)) == ["192.0.2.2"], word
        assert len(second.asked) == before + 1, word


async def test_without_any_server_the_answer_is_a_failure(node: Node) -> None:
    for upstreams in ((), (port.Upstream("127.0.0.55", True),), (port.Upstream("not an address", True),)):
        await node.attach(ONE, *upstreams)
        for tcp in (False, True):
            assert (await node.query(ONE, "one.example", tcp=tcp)).rcode() == dns.rcode.SERVFAIL


@pytest.mark.parametrize("tcp", [False, True])
async def test_silence_ends_in_a_failure(node: Node, serve: Serve, tcp: bool) -> None:
    serve()
    await node.attach(ONE, ON_HOST)
    response = await node.query(ONE, "silent.example", tcp=tcp, again_s=GUARD_S)
    assert response.rcode() == dns.rcode.SERVFAIL


async def test_each_container_has_servers_of_its_own(node: Node, serve: Serve) -> None:
    serve(address="192.0.2.1")
    own = port.Upstream("127.0.0.53", False)
    await node.attach(ONE, ON_HOST)
    await node.attach(TWO, own)
    serve(node.sandboxes[TWO].fd, address="192.0.2.2")
    assert answers(await node.query(ONE, "one.example")) == ["192.0.2.1"]
    assert answers(await node.query(TWO, "one.example")) == ["192.0.2.2"]


async def test_servers_change_while_the_container_runs(node: Node, serve: Serve) -> None:
    serve(address="192.0.2.1")
    serve(host="127.0.0.54", address="192.0.2.2")
    await node.attach(ONE, ON_HOST)
    assert answers(await node.query(ONE, "one.example")) == ["192.0.2.1"]
    names = port.ContainerNames((WEB,), (port.Upstream("127.0.0.54", True),))
    await node.resolver.update(ONE, names)
    assert answers(await node.query(ONE, "one.example")) == ["192.0.2.2"]


async def test_servers_have_ipv6_addresses_too(node: Node, serve: Serve) -> None:
    serve(host="::1", address="192.0.2.6")
    await node.attach(ONE, port.Upstream("::1", True))
    assert answers(await node.query(ONE, "one.example")) == ["192.0.2.6"]
    assert answers(await node.query(ONE, "one.example", tcp=True)) == ["192.0.2.6"]


async def test_an_internal_network_forwards_nothing(node: Node, serve: Serve) -> None:
    server = serve()
    await node.attach(ONE, ON_HOST, endpoints=(replace(WEB, internal=True),))
    assert (await node.query(ONE, "one.example")).rcode() == dns.rcode.SERVFAIL
    assert answers(await node.query(ONE, "web")) == ["10.1.0.2"]
    assert not server.asked


async def test_names_without_a_dot_stay_where_the_user_says_ndots(node: Node, serve: Serve) -> None:
    server = serve()
    await node.attach(ONE, ON_HOST, dotless_stay=True)
    response = await node.query(ONE, "one")
    assert (response.rcode(), response.answer) == (dns.rcode.NOERROR, [])
    assert not server.asked
    await node.attach(TWO, ON_HOST)
    assert answers(await node.query(TWO, "one")) == ["192.0.2.1"]


# --- sandboxes


async def test_a_container_may_serve_port_53_itself(node: Node, serve: Serve) -> None:
    await node.attach(ONE)
    serve(node.sandboxes[ONE].fd, host="0.0.0.0", address="192.0.2.9")
    assert answers(await node.query(ONE, "web")) == ["10.1.0.2"]
    inside: Namespace = node.sandboxes[ONE]
    assert inside.run("dig", "@127.0.0.1", "+short", "one.example").split() == ["192.0.2.9"]


async def test_another_port_of_the_resolver_s_address_is_not_redirected(node: Node) -> None:
    await node.attach(ONE)
    table = node.sandboxes[ONE].run("nft", "list", "ruleset")
    assert table.count("dnat to 127.0.0.11:") == 2
    assert table.count("dport 53") == 2
    assert node.host.run("nft", "list", "ruleset") == ""


async def test_questions_are_counted_by_outcome(node: Node, serve: Serve) -> None:
    serve()
    assert await node.resolver.counts() == dict.fromkeys(port.OUTCOMES, 0)
    await node.attach(ONE, ON_HOST)
    await node.attach(TWO)
    for name, kind in (("web", "A"), ("web", "AAAA"), ("one.example", "A"), ("none.example", "A")):
        await node.query(ONE, name, kind, tcp=True)
    await node.query(ONE, "failed.example", tcp=True)
    await node.query(TWO, "one.example", tcp=True)
    unknown = dns.message.make_query("web", "A")
    unknown.set_opcode(dns.opcode.STATUS)
    await node.exchange(ONE, unknown, tcp=True)
    expected = {"answered": 2, "forwarded": 2, "failed": 2, "refused": 1}
    assert await node.resolver.counts() == expected
    (former,) = connection.resolvers_below(node.run)
    os.kill(former.pid, signal.SIGKILL)
    assert answers(await node.query(ONE, "web")) == ["10.1.0.2"]
    counts = await node.resolver.counts()
    assert counts["answered"] > 2 and {**counts, "answered": 2} == expected, "a new process begins at 0, we don't"
