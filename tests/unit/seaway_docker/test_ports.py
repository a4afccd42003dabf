import pytest

from seaway_docker.errors import InvalidParameter
from seaway_docker.model_host import PortBinding
from seaway_docker.ports import HostBinding, Port, exposed_ports, host_bindings, parse_port, split_proto_port


@pytest.mark.parametrize(
    ("text", "expected"),
    [("80", ("tcp", "80")), ("80/udp", ("udp", "80")), ("80/", ("tcp", "80")), ("", ("", "")), ("/tcp", ("", ""))],
)
def test_split(text: str, expected: tuple[str, str]) -> None:
    assert split_proto_port(text) == expected


def test_ports() -> None:
    assert str(parse_port("80")) == "80/tcp"
    assert parse_port("53/UDP") == Port(53, "udp")
    assert exposed_ports(["8000-8002/tcp", "8001", "9/sctp"]) == (Port(8000), Port(8001), Port(8002), Port(9, "sctp"))


@pytest.mark.parametrize(
    ("key", "host_port", "refused"),
    [
        ("x", "1", "x"),
        ("70000/tcp", "1", "70000"),
        ("80-82/tcp", "1", "80-82"),
        ("80/tcp", "x", "x"),
        ("80/tcp", "70000", "70000"),
        ("80/tcp", "65536", "65536"),
        ("80/tcp", "90-80", "90-80"),
        ("80/tcp", "0-80", "0-80"),
        ("80/foo", "1", "80/foo"),
        ("0/tcp", "1", "0/tcp"),
        ("", "1", ""),
        ("80/tcp", "²", "²"),
    ],
)
def test_bad_bindings(key: str, host_port: str, refused: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        host_bindings({key: [PortBinding(host_port=host_port)]})
    assert str(caught.value) == f'invalid port specification: "{refused}"'


def test_bindings() -> None:
    assert host_bindings(
        {
            "80/tcp": [PortBinding(host_ip="127.0.0.1", host_port="8080"), PortBinding(host_ip="::", host_port="")],
            "53/udp": [PortBinding(host_port="5300-5310")],
            "9/tcp": None,
            "10/tcp": [],
        }
    ) == (
        HostBinding(Port(80), "127.0.0.1", 8080, 8080),
        HostBinding(Port(80), "::", 0, 0),
        HostBinding(Port(53, "udp"), "", 5300, 5310),
    )


@pytest.mark.parametrize("address", ["zz", "1.2.3.4.5", "01.2.3.4", "fe80::1%eth0", "1.2.3.4\n", "[::1]", "٣.1.1.1"])
def test_bad_address(address: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        host_bindings({"80/tcp": [PortBinding(host_ip=address, host_port="1")]})
    assert str(caught.value) == f"invalid IP address: {address}"
