import pytest

from seaway_contracts.errors import Code, SeawayError
from seaway_image.registry.endpoints import (
    Endpoint,
    RegistrySettings,
    check_hop,
    endpoints_for,
    is_forbidden_address,
    is_insecure,
    may_carry_credentials,
)

REMOTE = Endpoint("https://registry.example.org")
LOCAL = Endpoint("http://127.0.0.1:5000")


def test_where_registries_are() -> None:
    plain = RegistrySettings()
    assert endpoints_for("example.org:444", plain) == [Endpoint("https://example.org:444")]
    assert endpoints_for("docker.io", plain) == [Endpoint("https://registry-1.docker.io")]
    assert [one.url for one in endpoints_for("localhost:5000", plain)] == [
        "https://localhost:5000",
        "http://localhost:5000",
    ]


def test_mirrors_come_first_and_see_no_credentials() -> None:
    found = endpoints_for("docker.io", RegistrySettings(mirrors=("https://mirror.example.org/",)))
    assert [(one.url, one.trusted) for one in found] == [
        ("https://mirror.example.org", False),
        ("https://registry-1.docker.io", True),
    ]
    assert len(endpoints_for("quay.io", RegistrySettings(mirrors=("https://mirror.example.org/",)))) == 1
    with pytest.raises(SeawayError, match="no http"):
        endpoints_for("docker.io", RegistrySettings(mirrors=("ftp://x",)))


@pytest.mark.parametrize(
    ("domain", "rules", "insecure"),
    [
        ("localhost:5000", (), True),
        ("127.8.8.8", (), True),
        ("[::1]:5000", (), True),
        ("10.1.2.3:5000", (), False),
        ("10.1.2.3:5000", ("10.0.0.0/8",), True),
        ("10.1.2.3:5000", ("10.1.2.3:5000",), True),
        ("10.1.2.3:5001", ("10.1.2.3:5000",), False),
        ("reg.local", ("reg.local",), True),
        ("localhost.evil.org", (), False),
    ],
)
def test_which_registries_may_be_insecure(domain: str, rules: tuple[str, ...], insecure: bool) -> None:
    assert is_insecure(domain, RegistrySettings(insecure=rules)) is insecure


@pytest.mark.parametrize(
    ("endpoint", "target", "why"),
    [
        (REMOTE, "file:///etc/shadow", "only http and https"),
        (REMOTE, "gopher://x/", "only http and https"),
        (REMOTE, "http://other.example.org/", "leaves HTTPS"),
        (REMOTE, "https://127.0.0.1/", "this machine"),
        (REMOTE, "https://localhost/", "this machine"),
        (REMOTE, "https://[::ffff:127.0.0.1]/", "this machine"),
        (REMOTE, "https://169.254.169.254/latest", "link-local"),
        (REMOTE, "https://[fe80::1%25eth0]/", "link-local"),
        (REMOTE, "https://0.0.0.0/", "link-local or no host's"),
        (REMOTE, "https://u:p@other.example.org/", "credentials"),
        (REMOTE, "https://x:99999/", "no URL"),
        (LOCAL, "http://169.254.169.254/", "link-local"),
    ],
)
def test_where_a_registry_may_not_lead(endpoint: Endpoint, target: str, why: str) -> None:
    with pytest.raises(SeawayError, match=why) as refused:
        check_hop(endpoint, target, "redirect")
    assert refused.value.code is Code.FORBIDDEN


@pytest.mark.parametrize(
    ("endpoint", "target"),
    [(REMOTE, "https://cdn.example.net/x?sig=1"), (LOCAL, "http://127.0.0.1:6000/x"), (LOCAL, "https://cdn.net/x")],
)
def test_where_a_registry_may_lead(endpoint: Endpoint, target: str) -> None:
    assert check_hop(endpoint, target, "redirect") == target


def test_addresses() -> None:
    assert is_forbidden_address("224.0.0.1")
    assert not is_forbidden_address("10.0.0.1")


def test_where_credentials_may_go() -> None:
    assert may_carry_credentials("https://example.org/")
    assert may_carry_credentials("http://127.0.0.1:5000/")
    assert not may_carry_credentials("http://10.0.0.1:5000/")
