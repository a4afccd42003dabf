"""Which proxy a request takes: the cases of Go's `httpproxy` package."""

import pytest

from seaway_contracts.errors import SeawayError
from seaway_image.registry.proxies import Proxy, ProxySettings, mask_credentials

PROXY = "http://proxy.example:3128"


def proxied(url: str, no_proxy: str) -> bool:
    return ProxySettings(PROXY, PROXY, no_proxy).proxy_for(url) is not None


@pytest.mark.parametrize(
    ("url", "no_proxy", "expected"),
    [
        ("https://registry.example", "", True),
        ("https://localhost:5000", "", False),
        ("https://127.0.0.1:5000", "", False),
        ("https://127.9.9.9", "", False),
        ("https://[::1]:5000", "", False),
        ("https://registry.example", "*", False),
        ("https://registry.example", "other.example, *", False),
        ("https://registry.example", "registry.example", False),
        ("https://REGISTRY.example", "Registry.EXAMPLE", False),
        ("https://sub.registry.example", "registry.example", False),
        ("https://sub.registry.example", ".registry.example", False),
        ("https://registry.example", ".registry.example", True),
        ("https://sub.registry.example", "*.registry.example", False),
        ("https://registry.example", "*.registry.example", True),
        ("https://myregistry.example", "registry.example", True),
        ("https://registry.example", "registry.example:443", False),
        ("https://registry.example:5000", "registry.example:443", True),
        ("http://registry.example", "registry.example:80", False),
        ("https://10.1.2.3", "10.0.0.0/8", False),
        ("https://11.1.2.3", "10.0.0.0/8", True),
        ("https://10.1.2.3:5000", "10.1.2.3", False),
        ("https://10.1.2.3:5000", "10.1.2.3:5000", False),
        ("https://10.1.2.3:5001", "10.1.2.3:5000", True),
        ("https://[fd00::1]:5000", "fd00::/8", False),
        ("https://[fd00::1]:5000", "fd00::1", False),
        ("https://[fd00::1]:5000", "[fd00::1]:5000", False),
        ("https://[fd00::1]:5001", "[fd00::1]:5000", True),
        ("https://[::ffff:10.1.2.3]", "10.0.0.0/8", False),
        ("https://10.1.2.3", ".2.3", True),
        ("https://registry.example", " , :443, registry.example ,", False),
        ("https://registry.example", "10.0.0.0/99", True),
    ],
)
def test_no_proxy(url: str, no_proxy: str, expected: bool) -> None:
    assert proxied(url, no_proxy) is expected


def test_the_scheme_decides_which_variable_counts() -> None:
    settings = ProxySettings("http://a:1", "https://b", "")
    assert settings.proxy_for("http://registry.example") == Proxy("http://a:1")
    assert settings.proxy_for("https://registry.example") == Proxy("https://b:443")
    assert ProxySettings("http://a:1").proxy_for("https://registry.example") is None


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("proxy.example:3128", Proxy("http://proxy.example:3128")),
        ("proxy.example", Proxy("http://proxy.example:80")),
        ("http://[fd00::1]:3128", Proxy("http://[fd00::1]:3128")),
        ("http://ann:p%40ss%3A@proxy.example:3128", Proxy("http://proxy.example:3128", "ann", "p@ss:")),
        ("ann:pass@proxy.example:3128", Proxy("http://proxy.example:3128", "ann", "pass")),
    ],
)
def test_how_a_proxy_is_written(text: str, proxy: Proxy) -> None:
    assert ProxySettings(https=text).proxy_for("https://registry.example") == proxy
    assert "pass" not in repr(ProxySettings(https=text))


@pytest.mark.parametrize("text", ["socks5://ann:secret@proxy.example", "http://:3128", "http://proxy.example:99999"])
def test_proxies_that_can_not_be_used(text: str) -> None:
    with pytest.raises(SeawayError, match="of the environment is unusable") as refused:
        ProxySettings(https=text).proxy_for("https://registry.example")
    assert refused.value.status == 503 and "secret" not in refused.value.message


def test_the_environment() -> None:
    found = ProxySettings.of({"HTTP_PROXY": "", "http_proxy": "a", "HTTPS_PROXY": "b", "https_proxy": "c"})
    assert found == ProxySettings("a", "b", "")
    assert ProxySettings.of({"no_proxy": "x,y"}).no_proxy == "x,y"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("", ""),
        (PROXY, PROXY),
        ("http://ann:secret@proxy.example:3128", "http://xxxxx:xxxxx@proxy.example:3128"),
        ("http://ann@proxy.example", "http://xxxxx:xxxxx@proxy.example"),
        ("ann:sec@ret@proxy.example", "xxxxx:xxxxx@proxy.example"),
    ],
)
def test_credentials_are_not_shown(url: str, shown: str) -> None:
    assert mask_credentials(url) == shown
