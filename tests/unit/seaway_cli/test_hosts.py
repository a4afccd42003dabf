import pytest

from seaway_cli.errors import CliError
from seaway_cli.hosts import Listen, Tls, check_hosts, check_listen, check_tls

FULL = Tls("cert.pem", "key.pem", "ca.pem", verify=True)


@pytest.mark.parametrize(
    "host", ["unix:///run/seaway/docker.sock", "tcp://127.0.0.1:2375", "tcp://localhost:1", "tcp://[::1]:2375"]
)
def test_local_addresses_need_no_tls(host: str) -> None:
    check_hosts([host], Tls())


@pytest.mark.parametrize("host", ["tcp://0.0.0.0:2375", "tcp://[::]:1", "tcp://10.0.0.1:2376", "tcp://example.org:1"])
def test_others_need_client_certificates(host: str) -> None:
    check_hosts([host], FULL)
    for tls in (Tls(), Tls("cert.pem", "key.pem"), Tls("cert.pem", "key.pem", "ca.pem")):
        with pytest.raises(CliError, match="it needs --tlsverify") as caught:
            check_hosts(["unix:///ok", host], tls)
        assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("/run/docker.sock", "write unix:///PATH or tcp://"),
        ("ssh://host", "write unix:///PATH or tcp://"),
        ("unix://docker.sock", "must begin with /"),
        ("unix:///" + 107 * "x", "this one has 108"),
        ("tcp://127.0.0.1", "is not an address"),
        ("tcp://127.0.0.1:99999", "is not an address"),
        ("", "write unix:///PATH"),
    ],
)
def test_what_is_no_host(host: str, why: str) -> None:
    with pytest.raises(CliError, match=why):
        check_hosts([host], Tls())


def test_tls_options_belong_together() -> None:
    check_tls(Tls())
    check_tls(FULL)
    with pytest.raises(CliError, match="both --tlscert and --tlskey"):
        check_tls(Tls(cert="cert.pem"))
    with pytest.raises(CliError, match="both --tlscert and --tlskey"):
        check_tls(Tls(verify=True))
    with pytest.raises(CliError, match="needs --tlscacert"):
        check_tls(Tls("cert.pem", "key.pem", verify=True))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "*:1", "a/b"])
def test_listening_needs_one_address(host: str) -> None:
    with pytest.raises(CliError, match="give one address of this machine"):
        check_listen(Listen(host, FULL))


def test_listening_to_others_needs_tls() -> None:
    check_listen(Listen())
    check_listen(Listen("10.0.0.5", Tls("cert.pem", "key.pem", "ca.pem")))
    for tls in (Tls(), Tls("cert.pem", "key.pem")):
        with pytest.raises(CliError, match="it needs --tlscert and --tlskey"):
            check_listen(Listen("10.0.0.5", tls))


def test_address_of_nats() -> None:
    assert Listen().nats_url(1) == "nats://127.0.0.1:1"
    assert Listen("fd00::5", FULL).nats_url(1) == "tls://[fd00::5]:1"
