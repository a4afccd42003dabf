import pytest

from seaway_agent.network import hosts
from seaway_agent.network.errors import NetworkError

FIXED = (
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::0\tip6-localnet\n"
    "ff00::0\tip6-mcastprefix\n"
    "ff02::1\tip6-allnodes\n"
    "ff02::2\tip6-allrouters\n"
)


def test_bridge_container_lists_itself_last() -> None:
    text = hosts.hosts_file(hostname="web", addresses=["172.18.0.2"], extra_hosts=["db:10.0.0.5"], gateway="172.18.0.1")
    assert text == FIXED + "10.0.0.5\tdb\n172.18.0.2\tweb\n"


def test_without_network_only_the_fixed_lines() -> None:
    assert hosts.hosts_file(hostname="web") == FIXED


def test_domain_name_comes_first() -> None:
    text = hosts.hosts_file(hostname="web", domainname="example.org", addresses=["172.18.0.2"])
    assert text.endswith("172.18.0.2\tweb.example.org web\n")


@pytest.mark.parametrize("named", [("web.example.org", ""), ("web", "example.org")])
def test_the_first_part_of_a_long_name_is_an_alias(named: tuple[str, str]) -> None:
    hostname, domainname = named
    assert hosts.own_lines(hostname, domainname, ["172.18.0.2"]) == ["172.18.0.2\tweb.example.org web\n"]


def test_on_the_hosts_network_it_is_the_hosts_file() -> None:
    text = hosts.hosts_file(hostname="vm", host_file="127.0.0.1 localhost vm", extra_hosts=["db:10.0.0.5"])
    assert text == "127.0.0.1 localhost vm\n10.0.0.5\tdb\n"


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("host.docker.internal:host-gateway", ("172.18.0.1", "host.docker.internal")),
        ("db=10.0.0.5", ("10.0.0.5", "db")),
        ("six:::1", ("::1", "six")),
        ("six=[fe80::1]", ("fe80::1", "six")),
    ],
)
def test_extra_hosts(extra: str, expected: tuple[str, str]) -> None:
    assert hosts.parse_extra_host(extra, "172.18.0.1") == expected


@pytest.mark.parametrize("extra", ["", "name", ":1.2.3.4", "name:", "name:nonsense", "name:1.2.3"])
def test_bad_extra_hosts(extra: str) -> None:
    with pytest.raises(NetworkError, match="add-host"):
        hosts.parse_extra_host(extra, "172.18.0.1")


def test_hostname_file() -> None:
    assert hosts.hostname_file("web") == "web\n"


def test_a_linked_container_comes_back_with_another_address() -> None:
    text = FIXED + "172.17.0.2\tdb 0123 first\n172.17.0.2\tdb\n172.17.0.3\tme"
    assert hosts.with_address(text, "db 0123 first", "172.17.0.9") == text.replace(
        "172.17.0.2\tdb 0", "172.17.0.9\tdb 0"
    )
