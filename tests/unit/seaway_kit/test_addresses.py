import pytest

from seaway_kit.addresses import check_host, is_loopback, join_address, nats_endpoints, split_address


@pytest.mark.parametrize(
    ("text", "parts"), [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:0", ("::1", 0)), ("name:65535", ("name", 65535))]
)
def test_split_and_join(text: str, parts: tuple[str, int]) -> None:
    assert split_address(text) == parts
    assert join_address(*parts) == text


@pytest.mark.parametrize("text", ["", "80", ":80", "host", "host:", "host:x", "host:65536", "host:-1"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        split_address(text)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("127.8.0.1", True),
        ("[::1]", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("example.org", False),
        ("127.0.0.1.example.org", False),
        ("", False),
    ],
)
def test_what_is_this_machine(host: str, local: bool) -> None:
    assert is_loopback(host) is local


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("nats://127.0.0.1:4222", (("127.0.0.1", 4222),)),
        ("nats://u:p@host", (("host", 4222),)),
        ("host:1", (("host", 1),)),
        ("nats://a:1, tls://[::1]:2", (("a", 1), ("::1", 2))),
    ],
)
def test_nats_endpoints(url: str, found: tuple[tuple[str, int], ...]) -> None:
    assert nats_endpoints(url) == found


@pytest.mark.parametrize("url", ["", "http://a", "nats://", "nats://a:x", "nats://a,"])
def test_what_is_no_nats_url(url: str) -> None:
    with pytest.raises(ValueError, match="is not a NATS URL"):
        nats_endpoints(url)


@pytest.mark.parametrize(
    "host", ["unix:///run/seaway/docker.sock", "tcp://127.0.0.1:2375", "tcp://localhost:1", "tcp://[::1]:2375"]
)
def test_this_machine_needs_no_certificate(host: str) -> None:
    check_host(host, verified=False, needs="a certificate")


@pytest.mark.parametrize("host", ["tcp://0.0.0.0:2375", "tcp://[::]:1", "tcp://10.0.0.1:2376", "tcp://example.org:1"])
def test_others_are_let_in_by_certificate_only(host: str) -> None:
    check_host(host, verified=True, needs="a certificate")
    with pytest.raises(ValueError, match=r"is reachable from other machines, .*: give a certificate, or listen on"):
        check_host(host, verified=False, needs="a certificate")


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("/run/docker.sock", "write unix:///PATH or tcp://"),
        ("ssh://host", "write unix:///PATH or tcp://"),
        ("unix:/run/docker.sock", "write unix:///PATH or tcp://"),
        ("unix://docker.sock", "must begin with /"),
        ("unix:///" + 107 * "x", "this one has 108"),
        ("tcp://127.0.0.1", "is not an address"),
        ("tcp://127.0.0.1:99999", "is not an address"),
        ("", "write unix:///PATH"),
    ],
)
def test_what_is_no_endpoint(host: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        check_host(host, verified=True, needs="a certificate")
    assert str(caught.value).startswith(f"{host}: ")
