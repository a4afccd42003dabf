"""Options of network drivers; the sentences are those of dockerd 26.1."""

import pytest

from seaway_api.translate.network_options import check_options, parse_bool
from seaway_docker.errors import InvalidParameter

BRIDGE = "com.docker.network.bridge."
MTU = "com.docker.network.driver.mtu"
PREFIX = "com.docker.network.container_iface_prefix"


def failed(name: str, value: str, reason: str) -> str:
    return f"failed to parse {name} value: {value} ({reason}"


@pytest.mark.parametrize(
    ("driver", "name", "value", "text"),
    [
        *(
            ("bridge", BRIDGE + name, value,
             failed(BRIDGE + name, value, f'strconv.ParseBool: parsing "{value}": invalid syntax)'))
            for name, value in (("enable_icc", "maybe"), ("enable_ip_masquerade", ""), ("inhibit_ipv4", "yes"),
                                ("default_bridge", "2"))
        ),
        ("bridge", MTU, "big", failed(MTU, "big", 'strconv.Atoi: parsing "big": invalid syntax)')),
        ("bridge", MTU, "", failed(MTU, "", 'strconv.Atoi: parsing "": invalid syntax)')),
        ("bridge", MTU, "-1", "invalid MTU number: -1"),
        ("macvlan", MTU, "67", "invalid MTU number: 67"),
        ("bridge", MTU, "65536", "invalid MTU number: 65536"),
        ("bridge", BRIDGE + "host_binding_ipv4", "x", failed(BRIDGE + "host_binding_ipv4", "x", "nil ip)")),
        ("bridge", BRIDGE + "name", "x" * 16, failed(BRIDGE + "name", "x" * 16, "an interface's name has at most 15")),
        ("bridge", BRIDGE + "name", "a b", failed(BRIDGE + "name", "a b", "an interface's name has at most 15")),
        ("bridge", BRIDGE + "name", "üüüüüüüü", failed(BRIDGE + "name", "üüüüüüüü", "an interface's name has at most")),
        ("bridge", BRIDGE + "name", "..", failed(BRIDGE + "name", "..", "an interface's name has at most 15")),
        ("bridge", PREFIX, "x" * 12, failed(PREFIX, "x" * 12, "the names would be too long: at most 11 bytes)")),
        ("macvlan", "parent", "a/b", failed("parent", "a/b", "an interface's name has at most 15")),
        ("macvlan", "parent", "lo", "loopback interface is not a valid macvlan parent link"),
        ("macvlan", "macvlan_mode", "odd",
         "requested macvlan mode 'odd' is not valid, 'bridge' mode is the macvlan driver default"),
    ],
)  # fmt: skip
def test_values_that_can_not_be(driver: str, name: str, value: str, text: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        check_options(driver, {name: value})
    assert str(caught.value)[: len(text)] == text


@pytest.mark.parametrize(
    ("driver", "name", "value"),
    [
        ("bridge", BRIDGE + "enable_icc", "F"),
        ("bridge", BRIDGE + "name", "br0"),
        ("bridge", BRIDGE + "name", ""),
        ("bridge", BRIDGE + "host_binding_ipv4", "127.0.0.1"),
        ("bridge", MTU, "0"),
        ("bridge", MTU, "9000"),
        ("bridge", PREFIX, "net"),
        ("bridge", "macvlan_mode", "odd"),
        ("bridge", "my.option", "x"),
        ("macvlan", "parent", "eth0.50"),
        ("macvlan", "macvlan_mode", ""),
        ("macvlan", "macvlan_mode", "passthru"),
        ("macvlan", BRIDGE + "enable_icc", "maybe"),
    ],
)
def test_values_that_are_taken(driver: str, name: str, value: str) -> None:
    check_options(driver, {name: value})


def test_booleans_are_gos() -> None:
    assert [parse_bool(text) for text in ("1", "t", "True", "0", "FALSE")] == [True, True, True, False, False]
    with pytest.raises(ValueError, match=r'strconv\.ParseBool: parsing "yes": invalid syntax'):
        parse_bool("yes")
