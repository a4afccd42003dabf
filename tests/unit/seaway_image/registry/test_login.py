"""Which registry a client means to log in to."""

import pytest

from seaway_contracts.errors import SeawayError
from seaway_image.registry.login import registry_domain


@pytest.mark.parametrize(
    ("address", "domain"),
    [
        ("", "docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("localhost:5000", "localhost:5000"),
        ("https://reg.example/v2/", "reg.example"),
        ("http://reg.example:8080", "reg.example:8080"),
        ("[::1]:5000", "[::1]:5000"),
    ],
)
def test_addresses(address: str, domain: str) -> None:
    assert registry_domain(address) == domain


@pytest.mark.parametrize("address", ["http://", "//", "user@reg.example", ":5000"])
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(SeawayError, match="invalid registry address") as refused:
        registry_domain(address)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://::nope", 'parse "http://::nope": invalid port ":nope" after host'),
        ("a b", 'parse "https://a b": invalid character " " in host name'),
        ("%zz", 'parse "https://%zz": invalid URL escape "%zz"'),
        ("http://[::1", "parse \"http://[::1\": missing ']' in host"),
        ("[::1]x", 'parse "https://[::1]x": invalid port "x" after host'),
    ],
)
def test_addresses_that_go_cannot_parse(address: str, words: str) -> None:
    with pytest.raises(SeawayError) as refused:
        registry_domain(address)
    assert (refused.value.status, refused.value.message) == (400, f"unable to parse server address: {words}")
