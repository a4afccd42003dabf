import pytest

from seaway_kit.metrics_ports import LAST_BASE, METRICS_PORT, fixed_ports, metrics_address, split_ports


def test_each_service_has_a_port_of_its_own_on_loopback() -> None:
    services = ("api", "metadata", "scheduler", "image", "agent")
    assert [metrics_address(service) for service in services] == [
        "127.0.0.1:9323",
        "127.0.0.1:9324",
        "127.0.0.1:9325",
        "127.0.0.1:9326",
        "127.0.0.1:9327-9426",
    ]
    assert metrics_address("image", 20000) == "127.0.0.1:20003"
    assert metrics_address("agent", LAST_BASE) == "127.0.0.1:65535-65535"


def test_any_free_port() -> None:
    assert metrics_address("agent", 0) == metrics_address("api", 0) == metrics_address("other") == "127.0.0.1:0"
    assert fixed_ports(0) == {}


def test_an_agent_needs_no_certain_port() -> None:
    assert fixed_ports(METRICS_PORT) == {"api": 9323, "metadata": 9324, "scheduler": 9325, "image": 9326}


@pytest.mark.parametrize(
    ("text", "host", "ports"),
    [
        ("127.0.0.1:9100", "127.0.0.1", range(9100, 9101)),
        ("[::1]:0", "::1", range(1)),
        ("my-host:9100", "my-host", range(9100, 9101)),
        ("my-host:9100-9102", "my-host", range(9100, 9103)),
        ("[::1]:7-7", "::1", range(7, 8)),
    ],
)
def test_ports_of_an_address(text: str, host: str, ports: range) -> None:
    assert split_ports(text) == (host, ports)


@pytest.mark.parametrize("text", ["h:5-4", "h:0-9", "h:9-65536", "h:9-", "h:9-x"])
def test_no_range_of_ports(text: str) -> None:
    with pytest.raises(ValueError, match="has no range of ports: write HOST:FIRST-LAST"):
        split_ports(text)


@pytest.mark.parametrize("text", ["h", "9100", "h-1:x", ":1-2"])
def test_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="is not an address: write HOST:PORT"):
        split_ports(text)
