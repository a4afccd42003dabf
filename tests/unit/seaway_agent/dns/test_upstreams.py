"""resolv.conf and upstream servers, as dockerd 26.1.5 made them of the same file and options."""

from seaway_agent.dns.port import Upstream
from seaway_agent.dns.upstreams import resolver_config
from seaway_agent.network.resolvconf import without_comments

HOST = "nameserver 127.0.0.53\nnameserver fd00::53\nsearch corp.example\noptions edns0 trust-ad\n"


def test_servers_that_a_container_cannot_reach_are_asked_from_the_host() -> None:
    config = resolver_config(HOST)
    directives = "nameserver 127.0.0.11\nsearch corp.example\noptions edns0 trust-ad ndots:0\n"
    assert without_comments(config.resolv_conf) == directives
    assert config.resolv_conf.endswith(
        "\n\n# Based on host file: '/etc/resolv.conf' (internal resolver)\n"
        "# ExtServers: [host(127.0.0.53) host(fd00::53)]\n# Overrides: []\n# Option ndots from: internal\n"
    )
    assert config.upstreams == (Upstream("127.0.0.53", True), Upstream("fd00::53", True))
    assert not config.dotless_stay


def test_a_container_with_ipv6_asks_a_server_there_itself() -> None:
    assert resolver_config(HOST, ipv6=True).upstreams == (Upstream("127.0.0.53", True), Upstream("fd00::53", False))


def test_the_user_s_options_stand_before_the_host_s() -> None:
    config = resolver_config(HOST, dns=["198.18.0.1", "127.0.0.1"], dns_search=["."], dns_options=["ndots:1"])
    assert without_comments(config.resolv_conf) == "nameserver 127.0.0.11\noptions ndots:1\n"
    assert config.resolv_conf.endswith(
        "# ExtServers: [198.18.0.1 127.0.0.1]\n# Overrides: [nameservers search options]\n"
        "# Option ndots from: override\n"
    )
    assert config.upstreams == (Upstream("198.18.0.1", False), Upstream("127.0.0.1", False))
    assert config.dotless_stay


def test_dots_that_are_no_number_are_left_out() -> None:
    config = resolver_config(HOST, dns_options=["ndots:x", "ndots", "rotate"])
    assert "\noptions rotate ndots:0\n" in config.resolv_conf and "ndots from: internal" in config.resolv_conf


def test_without_servers_dockers_defaults_are_asked() -> None:
    assert "# Used default nameservers.\n# ExtServers: [8.8.8.8 8.8.4.4]\n" in resolver_config("").resolv_conf
    assert resolver_config("").upstreams == (Upstream("8.8.8.8", False), Upstream("8.8.4.4", False))


def test_the_resolver_never_asks_itself() -> None:
    assert resolver_config(HOST, dns=["127.0.0.11"]).upstreams == ()
    assert resolver_config("nameserver 127.0.0.11\n").upstreams == (Upstream("127.0.0.11", True),)


def test_a_link_local_server_is_asked_from_the_host() -> None:
    assert resolver_config("nameserver fe80::1%eth0\n", ipv6=True).upstreams == (Upstream("fe80::1%eth0", True),)


def test_an_option_without_number_counts_as_none() -> None:
    assert not resolver_config("nameserver 10.0.0.1\noptions ndots:x\n").dotless_stay
    assert not resolver_config("nameserver 10.0.0.1\noptions ndots:0\n").dotless_stay
