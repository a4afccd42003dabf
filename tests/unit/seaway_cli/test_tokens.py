from pathlib import Path

import pytest

from seaway_cli.errors import CliError
from seaway_cli.tokens import Cluster, _how_to_join, parse_labels, parse_ttl
from seaway_contracts.joining import TokenInfo, TokenText

TOKEN = TokenText("a" * 12, "5" * 32, "word")
MADE = TokenInfo(id=TOKEN.id, created_ns=0, expires_ns=3600 * 10**9, uses=2)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1h", 3600), ("7d", 604_800), (" 1h ", 3600)]
)
def test_times(text: str, seconds: int) -> None:
    assert parse_ttl(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "h", "-1h", "1.5h", "1w", "1h30m", "9" * 10 + "s", "١h"])
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(CliError, match="write a number with s, m, h or d") as caught:
        parse_ttl(text)
    assert caught.value.exit_code == 2


def test_labels() -> None:
    assert parse_labels(["disk=ssd", "empty=", "a=b=c"]) == {"disk": "ssd", "empty": "", "a": "b=c"}
    for words, sentence in (
        (["disk"], "KEY=VALUE"),
        (["a=1", "a=2"], "there twice"),
        (["=x"], "is no label"),
        (["db.password=x"], "secret"),
    ):
        with pytest.raises(CliError, match=sentence) as caught:
            parse_labels(words)
        assert caught.value.exit_code == 2


def test_how_to_join() -> None:
    text = _how_to_join(Cluster("tls://10.0.0.5:4222", Path("/p"), Path("/ca.pem")), TOKEN, MADE)
    assert "may be used 2 times until 1970-01-01 01:00:00 UTC. On the machine that is to join, with a copy of" in text
    assert text.endswith(f"\n  seaway join tls://10.0.0.5:4222 --token {TOKEN} --nats-ca /ca.pem")
    here = _how_to_join(Cluster("nats://127.0.0.1:4222", Path("/p"), None), TOKEN, MADE)
    assert "NATS listens on this machine only (`seaway up --listen ADDRESS` opens it to others). Here:" in here
