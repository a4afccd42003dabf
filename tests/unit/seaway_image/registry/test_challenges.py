import pytest

from seaway_contracts.errors import SeawayError
from seaway_contracts.images import RegistryAuth
from seaway_docker.references import parse_reference
from seaway_image.registry.challenges import Challenge, is_scope_refusal, parse_challenges, parse_token, token_url
from seaway_image.registry.credentials import Credentials, credentials_from
from seaway_image.registry.refusals import docker_error, parse_refusal


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        (
            'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
            [Challenge("bearer", {"realm": "https://auth.docker.io/token", "service": "registry.docker.io",
                                  "scope": "repository:a/b:pull,push"})],
        ),
        ('Basic realm="x \\"y\\""', [Challenge("basic", {"realm": 'x "y"'})]),
        ('Basic realm="x", Bearer realm=y', [Challenge("basic", {"realm": "x"}), Challenge("bearer", {"realm": "y"})]),
        ("Negotiate", [Challenge("negotiate", {})]),
        ("", []),
        ('=,,"', []),
    ],
)  # fmt: skip
def test_challenges_are_read(header: str, challenges: list[Challenge]) -> None:
    assert parse_challenges([header]) == challenges


def test_the_url_of_a_token() -> None:
    challenge = Challenge("bearer", {"realm": "https://a/t?x=1", "service": "s"})
    assert token_url(challenge, "repository:a:pull", "me") == (
        "https://a/t?x=1&account=me&client_id=seaway&service=s&scope=repository%3Aa%3Apull"
    )


def test_tokens() -> None:
    assert parse_token(b'{"token": "t", "expires_in": 300}').life_s == 300
    assert parse_token(b'{"access_token": "t", "expires_in": 1}').life_s == 60
    assert parse_token(b'{"token": "t", "expires_in": 1' + b"0" * 400 + b"}").life_s == 24 * 3600
    for bad in (b"{}", b'{"token": ""}', b'{"token": "a\\r\\nX: y"}', b'{"token": 1}'):
        with pytest.raises(SeawayError, match="did not include a token"):
            parse_token(bad)


def test_credentials() -> None:
    assert credentials_from(None) == Credentials()
    assert not credentials_from(RegistryAuth())
    assert credentials_from(RegistryAuth(auth="dTpwOnE=")) == Credentials("u", "p:q")
    assert Credentials("u", "p").basic == "Basic dTpw"
    assert "p:q" not in repr(Credentials("u", "p:q"))
    assert Credentials("u", "p").fingerprint != Credentials("u", "q").fingerprint
    for bad in (RegistryAuth(auth="%%"), RegistryAuth(username="a\r\nb")):
        with pytest.raises(SeawayError, match="registry credentials"):
            credentials_from(bad)


@pytest.mark.parametrize(
    ("status", "body", "message", "http"),
    [
        (404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}',
         "manifest for x:y not found: manifest unknown: manifest unknown", 404),
        (404, b"<html>", "manifest for x:y not found: manifest unknown: manifest unknown", 404),
        (404, b'{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}',
         "repository x not found: name unknown: repository name not known to registry", 404),
        (403, b"", "pull access denied for x, repository does not exist or may require 'docker login': denied: "
         "requested access to the resource is denied", 404),
        (401, b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}',
         "unauthorized: authentication required", 500),
        (500, b"oops", "received unexpected HTTP status: 500 Internal Server Error", 503),
        (429, b"", "toomanyrequests: too many requests", 503),
        (400, b'{"errors":[{"code":"X\\u0001","message":"bad\\u001b[31m"}]}', "bad[31m", 500),
    ],
)  # fmt: skip
def test_refusals_in_dockers_words(status: int, body: bytes, message: str, http: int) -> None:
    reason = {500: "Internal Server Error"}.get(status, "")
    error = docker_error(parse_refusal(status, reason, body), parse_reference("x"), "y")
    if status == 400:
        assert "\x1b" not in error.message
    else:
        assert error.message == message
    assert error.status == http


@pytest.mark.parametrize(("given", "wait"), [("7", 7.0), ("", None), ("-1", None), ("\u00b2", None), ("soon", None)])
def test_when_to_try_again(given: str, wait: float | None) -> None:
    assert parse_refusal(429, "", b"", given).retry_after_s == wait


def test_a_token_that_is_not_enough_is_told_from_one_that_is_bad() -> None:
    said = 'Bearer realm="https://x/t",service="s",scope="repository:a:pull",error='
    assert is_scope_refusal(parse_challenges([said + '"insufficient_scope"']))
    assert not is_scope_refusal(parse_challenges([said + '"invalid_token"', 'Basic realm="r"']))
