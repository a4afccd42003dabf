"""What containers find, as with Docker."""

from collections import Counter
from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from seaway_agent.dns.port import NamedEndpoint
from seaway_agent.dns.resolver import wire
from seaway_agent.dns.resolver.zone import View, Zone


def endpoint(network: str, *names: str, v4: str = "", v6: str = "", **named: object) -> NamedEndpoint:
    address = IPv4Address(v4) if v4 else None
    address6 = IPv6Address(v6) if v6 else None
    return NamedEndpoint(f"id of {network}", network, names, address, address6, **named)  # type: ignore[arg-type]


def find(view: View, name: str, kind: int = wire.A) -> list[str] | None:
    packed = wire.pack_name(name)
    assert packed is not None
    found = view.find(packed.lower(), kind)
    if found is None:
        return None
    data = [wire.data_of(record) for record in found]
    if kind == wire.PTR:
        return [one.decode() for one in data]
    return [str(IPv4Address(one) if kind == wire.A else IPv6Address(one)) for one in data]


def reverse(view: View, address: str) -> bytes | None:
    found = view.find(wire.reverse_name(IPv4Address(address) if "." in address else IPv6Address(address)), wire.PTR)
    return wire.data_of(found[0]) if found else None


def test_all_names_of_a_container_lead_to_it() -> None:
    zone = Zone()
    view = zone.put("one", [endpoint("net", "web", "alias", "0123456789ab", "host.name", v4="10.0.0.2")])
    for name in ("web", "alias", "0123456789ab", "host.name", "WEB", "web.net", "Host.Name.Net", "web."):
        assert find(view, name) == ["10.0.0.2"], name
    for name in ("we", "net", "web.other", "web.net.net", "x.web"):
        assert find(view, name) is None, name


def test_a_name_without_addresses_of_that_family_has_no_data() -> None:
    zone = Zone()
    view = zone.put("one", [endpoint("net", "web", v4="10.0.0.2")])
    zone.put("two", [endpoint("net", "six", v6="fd00::2")])
    assert find(view, "web", wire.AAAA) == []
    assert find(view, "six") == []
    assert find(view, "six", wire.AAAA) == ["fd00::2"]
    assert find(view, "web", 15) == []
    assert find(view, "nobody", wire.AAAA) is None


def test_a_shared_alias_leads_to_each_in_turn() -> None:
    zone = Zone()
    views = [zone.put(f"c{n}", [endpoint("net", f"c{n}", "all", v4=f"10.0.0.{n}")]) for n in range(1, 4)]
    answers = [find(views[0], "all") for _ in range(6)]
    assert all(sorted(answer or ()) == ["10.0.0.1", "10.0.0.2", "10.0.0.3"] for answer in answers)
    assert Counter((answer or [""])[0] for answer in answers) == {"10.0.0.1": 2, "10.0.0.2": 2, "10.0.0.3": 2}
    zone.remove("c2")
    assert sorted(find(views[0], "all.net") or ()) == ["10.0.0.1", "10.0.0.3"]


def test_the_first_network_that_knows_a_name_answers() -> None:
    zone = Zone()
    zone.put("one", [endpoint("a", "web", v4="10.0.0.2")])
    zone.put("two", [endpoint("b", "web", v4="10.0.1.2", v6="fd00::2")])
    view = zone.put("both", [endpoint("b", "both", v4="10.0.1.3"), endpoint("a", "both", v4="10.0.0.3")])
    assert find(view, "web") == ["10.0.1.2"]
    assert find(view, "web.a") == ["10.0.0.2"]
    view = zone.put("both", [endpoint("a", "both", v4="10.0.0.3"), endpoint("b", "both", v4="10.0.1.3")])
    assert find(view, "web") == ["10.0.0.2"]
    assert find(view, "web", wire.AAAA) == ["fd00::2"]


def test_networks_of_others_are_not_searched() -> None:
    zone = Zone()
    zone.put("one", [endpoint("a", "web", v4="10.0.0.2")])
    view = zone.put("two", [endpoint("b", "other", v4="10.0.1.2")])
    assert find(view, "web") is None
    assert find(view, "web.a") is None
    assert reverse(view, "10.0.0.2") is None


def test_networks_of_one_name_are_told_apart() -> None:
    zone = Zone()
    former = NamedEndpoint("former", "net", ("web",), IPv4Address("10.0.0.2"))
    view = zone.put("one", [former])
    later = zone.put("two", [NamedEndpoint("later", "net", ("web",), IPv4Address("10.0.1.2"))])
    assert (find(view, "web"), find(later, "web.net")) == (["10.0.0.2"], ["10.0.1.2"])


def test_a_link_stands_before_names_and_for_its_container_alone() -> None:
    zone = Zone()
    zone.put("one", [endpoint("net", "web", v4="10.0.0.2")])
    zone.put("two", [endpoint("net", "db", v4="10.0.0.3")])
    other = zone.put("three", [endpoint("net", "three", v4="10.0.0.4")])
    view = zone.put(
        "four", [endpoint("net", "four", v4="10.0.0.5", links={"db": "web", "Store": "db", "lost": "gone"})]
    )
    assert find(view, "db") == ["10.0.0.2"]
    assert find(view, "store") == ["10.0.0.3"]
    assert find(view, "STORE.net") == ["10.0.0.3"]
    assert find(view, "lost") is None
    assert (find(other, "db"), find(other, "store")) == (["10.0.0.3"], None)


def test_a_reverse_look_up_finds_the_first_name_and_the_network_s() -> None:
    zone = Zone()
    view = zone.put("one", [endpoint("Net", "Web", "alias", v4="10.0.0.2", v6="fd00::2")])
    assert reverse(view, "10.0.0.2") == b"\x03Web\x03Net\0"
    assert reverse(view, "fd00::2") == b"\x03Web\x03Net\0"
    assert reverse(view, "10.0.0.3") is None
    zone.remove("one")
    assert reverse(view, "10.0.0.2") is None


def test_what_can_be_no_name_is_left_out() -> None:
    zone = Zone()
    view = zone.put("one", [endpoint("n" * 60, "a" * 64, "", "..", "web", v4="10.0.0.2", links={"": "web", "x": ""})])
    assert find(view, "web") == ["10.0.0.2"]
    long = ".".join(["a" * 60] * 4)
    view = zone.put("two", [endpoint("n" * 60, long, v4="10.0.0.3")])
    assert find(view, long) == ["10.0.0.3"]
    assert reverse(view, "10.0.0.3") is None
    zone.remove("two")


CHANGES = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.lists(
            st.tuples(st.sampled_from("xyz"), st.lists(st.sampled_from(["p", "Q", "r.s"]), max_size=3)), max_size=3
        ),
    ),
    max_size=12,
)


@given(CHANGES)
def test_nothing_is_left_of_what_is_removed(changes: list[tuple[str, list[tuple[str, list[str]]]]]) -> None:
    zone = Zone()
    last: dict[str, list[tuple[str, list[str]]]] = {}
    for container, networks in changes:
        unique = list(dict(networks).items())
        last[container] = unique
        address = f"10.0.0.{ord(container)}"
        view = zone.put(container, [endpoint(network, *names, v4=address) for network, names in unique])
    for container, networks in last.items():
        view = zone.put(
            container, [endpoint(network, *names, v4=f"10.0.0.{ord(container)}") for network, names in networks]
        )
        for network, names in networks:
            for name in names:
                holders = [one for one, there in last.items() if name in dict(there).get(network, ())]
                assert sorted(find(view, f"{name}.{network}") or ()) == sorted(f"10.0.0.{ord(one)}" for one in holders)
    for container in last:
        zone.remove(container)
    assert not zone.networks
