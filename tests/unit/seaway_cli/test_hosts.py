import pytest

from seaway_cli.errors import CliError
from seaway_cli.hosts import Listen, Tls, check_hosts, check_listen, check_tls

FULL = Tls("cert.pem", "key.pem", "ca.pem", verify=True)


def test_others_need_client_certificates() -> None:
    check_hosts(["unix:///ok", "tcp://127.0.0.1:2375"], Tls())
    check_hosts(["tcp://0.0.0.0:2375"], FULL)
    for tls in (Tls(), Tls("cert.pem", "key.pem"), Tls("cert.pem", "key.pem", "ca.pem")):
        with pytest.raises(CliError, match=r"^--host tcp://0.0.0.0:2375 is reachable .*: give --tlsverify") as caught:
            check_hosts(["unix:///ok", "tcp://0.0.0.0:2375"], tls)
        assert caught.value.exit_code == 2


def test_what_is_no_host() -> None:
    with pytest.raises(CliError, match=r"^--host ssh://host: write unix:///PATH or tcp://"):
        check_hosts(["ssh://host"], Tls())


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
