"""What is refused before a server is asked; the rest is in tests/integration/cli/test_join.py."""

from pathlib import Path

import pytest

from seaway_bus.node_keys import new_seed
from seaway_cli import joining
from seaway_cli.errors import CliError
from seaway_cli.joining import JoinOptions, _checked, _seed, _url, join
from seaway_cli.layout import Layout
from seaway_cli.nats_login import Login
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.joining import TokenText
from seaway_testing.ports import free_port

TOKEN = str(TokenText("a" * 12, "5" * 32, "word"))


def options(tmp_path: Path, **changes: object) -> JoinOptions:
    values: dict[str, object] = {"layout": Layout(tmp_path / "root", tmp_path / "run"), "token": TOKEN, "node": "n2"}
    return JoinOptions(**{"url": f"nats://127.0.0.1:{free_port()}"} | values | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "sentence", "code"),
    [
        ({"token": "SWTKN-secret"}, "this is no token", 2),
        ({"node": "a.b"}, "no node may be called 'a.b': use 1 to 128", 2),
        ({"node": "join"}, "no node may be called 'join'", 2),
        ({"ca": Path("/no/such")}, "--nats-ca /no/such: there is no such file", 2),
        ({"url": "http://x"}, "is not a NATS URL", 2),
        ({}, r"no NATS server can be reached at 127.0.0.1:.* \(Connection refused\)", 1),
        ({"url": "nats://127.0.0.1:1,nats://192.0.2.1"}, "the token would go to 192.0.2.1 unencrypted: give the CA", 1),
    ],
)
def test_what_can_not_be_is_refused_and_leaves_nothing(
    tmp_path: Path, changes: dict[str, object], sentence: str, code: int
) -> None:
    with pytest.raises(CliError, match=sentence) as caught:
        join(options(tmp_path, **changes))
    assert caught.value.exit_code == code
    assert list(tmp_path.iterdir()) == []
    assert "SWTKN-secret" not in caught.value.message


def test_a_machine_of_another_cluster_does_not_join(tmp_path: Path) -> None:
    given = options(tmp_path)
    given.layout.joined.mkdir(parents=True)
    given.layout.agent_config.touch()
    with pytest.raises(CliError, match="this machine has joined already"):
        _checked(given)
    given.layout.marker.touch()
    with pytest.raises(CliError, match=r"a suite lives in .*: give another --root"):
        _checked(given)


def test_the_key_is_made_once_and_one_that_is_damaged_anew(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "root", tmp_path / "run")
    seed, is_new = _seed(layout)
    assert is_new and _seed(layout) == (seed, False)
    file = layout.joined / "nkey"
    assert (file.stat().st_mode & 0o777, layout.joined.stat().st_mode & 0o777) == (0o600, 0o700)
    file.write_text(seed[:20])
    again, is_new = _seed(layout)
    assert is_new and again not in (seed, new_seed())


def test_a_ca_asks_for_tls_and_only_the_user_can_do_without(tmp_path: Path) -> None:
    far = "nats://192.0.2.1:4222,[2001:db8::1]:5"
    ca = tmp_path / "ca.pem"
    assert _url(options(tmp_path, url=far, ca=ca)) == "tls://192.0.2.1:4222,tls://[2001:db8::1]:5"
    assert _url(options(tmp_path, url=far, insecure=True)) == far
    for good in ("tls://192.0.2.1", "nats://127.0.0.1:1", "localhost:1", "nats://[::1]"):
        assert _url(options(tmp_path, url=good)) == good


@pytest.mark.parametrize("place", ["root", "root/join"])
def test_no_key_is_kept_where_others_write(tmp_path: Path, place: str) -> None:
    layout = Layout(tmp_path / "root", tmp_path / "run")
    layout.root.mkdir()
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / place).chmod(0o777)
    with pytest.raises(CliError, match=f"{place} is no directory that only you can write to"):
        _seed(layout)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_no_key_is_kept_behind_a_link(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "root", tmp_path / "run")
    layout.root.mkdir(mode=0o700)
    (tmp_path / "elsewhere").mkdir()
    layout.joined.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CliError, match="is no directory that only you can write to"):
        _seed(layout)
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize(
    ("code", "kept"),
    [(Code.FORBIDDEN, False), (Code.CONFLICT, False), (Code.TIMEOUT, True), (Code.UNAVAILABLE, True)],
)
def test_a_key_that_may_have_been_admitted_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: Code, kept: bool
) -> None:
    def answer(*_: object, **__: object) -> None:
        raise SeawayError(code, "no answer came, or no")

    monkeypatch.setattr(Login, "trouble", lambda self: "")
    monkeypatch.setattr(joining, "ask_once", answer)
    given = options(tmp_path)
    with pytest.raises(CliError, match="no answer came, or no"):
        join(given)
    assert (given.layout.joined / "nkey").exists() is kept
    assert given.layout.root.exists() is kept


def test_of_two_joins_at_once_both_have_the_same_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(tmp_path / "root", tmp_path / "run")
    made: list[tuple[str, bool]] = []

    def meanwhile() -> str:
        monkeypatch.undo()
        made.append(_seed(layout))
        return new_seed()

    monkeypatch.setattr(joining.node_keys, "new_seed", meanwhile)
    seed, is_new = _seed(layout)
    assert (made, is_new) == ([(seed, True)], False)
    assert [path.name for path in layout.joined.iterdir()] == ["nkey"]
