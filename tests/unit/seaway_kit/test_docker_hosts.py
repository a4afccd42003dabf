import pytest

from seaway_kit.docker_hosts import check_host


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
