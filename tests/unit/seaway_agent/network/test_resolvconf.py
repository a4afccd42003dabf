import pytest

from seaway_agent.network.resolvconf import for_container

HOST = """\
# made by hand
; another comment

nameserver 192.0.2.53
nameserver 127.0.0.53
nameserver fe80::1%eth0
nameserver nonsense
domain old.example
search a.example b.example
options ndots:2
options edns0
sortlist 130.155.160.0
"""


def test_host_file_without_what_a_container_cannot_use() -> None:
    assert for_container(HOST) == (
        "nameserver 192.0.2.53\nsearch a.example b.example\noptions ndots:2 edns0\nsortlist 130.155.160.0\n"
    )


@pytest.mark.parametrize(
    "host", ["", "nameserver 127.0.0.1\n", "nameserver ::1\nnameserver 2001:db8::1\n", "nameserver"]
)
def test_public_nameservers_when_none_is_left(host: str) -> None:
    assert for_container(host) == "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"


def test_options_of_the_user_replace_the_hosts_one_by_one() -> None:
    assert for_container(HOST, dns=["127.0.0.1", "::1"], dns_search=["c.example"], dns_options=["rotate"]) == (
        "nameserver 127.0.0.1\nnameserver ::1\nsearch c.example\noptions rotate\nsortlist 130.155.160.0\n"
    )


def test_a_dot_means_no_search() -> None:
    assert "search" not in for_container(HOST, dns_search=["."])
