from pathlib import Path

import pytest
from pydantic import Field

from seaway_kit.settings import ServiceSettings, default_node, load_settings, merge


class ExampleSettings(ServiceSettings):
    """An example of a service."""

    host: tuple[str, ...] = Field((), description="where to listen")
    verbose: bool = False
    patience: int = Field(3, gt=0)
    ca: Path | None = None
    """A documented field."""


def load(*argv: str, env: dict[str, str] | None = None) -> ExampleSettings:
    return load_settings(ExampleSettings, argv, prog="seaway-agent", env=env or {})


def refusal(capsys: pytest.CaptureFixture[str], *argv: str, env: dict[str, str] | None = None) -> str:
    with pytest.raises(SystemExit) as stop:
        load(*argv, env=env)
    assert stop.value.code == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    return text.strip()


def test_defaults() -> None:
    settings = load()
    assert settings.nats == "nats://127.0.0.1:4222"
    assert settings.root == Path("/var/lib/seaway")
    assert settings.host == ()
    assert settings.nats_password() == ""


def test_flags_environment_file_default_in_that_order(tmp_path: Path) -> None:
    file = tmp_path / "seaway.toml"
    file.write_text(
        'nats = "nats://file:1"\nlog_level = "error"\nnode = "top"\n[agent]\nnode = "section"\npatience = 7\n'
        '[api]\nhost = ["tcp://elsewhere"]\n'
    )
    env = {"SEAWAY_NATS": "nats://env:2", "SEAWAY_LOG_LEVEL": "debug", "UNRELATED": "x"}
    settings = load("--config", str(file), "--nats", "nats://flag:3", env=env)
    assert settings.nats == "nats://flag:3"
    assert settings.log_level == "debug"
    assert settings.node == "section"
    assert settings.patience == 7
    assert settings.log_format == "text"


def test_repeated_flags_and_lists() -> None:
    assert load("--host", "a", "--host", "b").host == ("a", "b")
    assert load(env={"SEAWAY_HOST": "a, b,"}).host == ("a", "b")
    assert load("--host", "c", env={"SEAWAY_HOST": "a"}).host == ("c",)


def test_booleans_and_paths() -> None:
    assert load("--verbose").verbose is True
    assert load("--no-verbose", env={"SEAWAY_VERBOSE": "true"}).verbose is False
    assert load("--ca", "x/y").ca == Path("x/y")
    assert load("--root", "state").root == Path.cwd() / "state"


def test_password_comes_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    assert load("--nats-password-file", str(tmp_path / "password")).nats_password() == "secret"


@pytest.mark.parametrize(
    "address", ["0.0.0.0:9100", "0.0.0.0:9100-9109", "192.0.2.1:0", "[::]:9100", "node.example:9100"]
)
def test_metrics_beyond_loopback_need_a_token_or_a_word(capsys: pytest.CaptureFixture[str], address: str) -> None:
    said = refusal(capsys, "--metrics", address)
    assert said.startswith(f"seaway-agent: metrics at {address} would show other machines the names")
    assert "--metrics-token-file" in said and "--metrics-public" in said
    assert load("--metrics", address, "--metrics-public").metrics == address
    assert load("--metrics", address, "--metrics-token-file", "/token").metrics == address


@pytest.mark.parametrize(
    "address", ["127.0.0.1:0", "127.1.2.3:9100", "127.0.0.1:9400-9409", "[::1]:9100", "localhost:9100"]
)
def test_metrics_on_loopback_need_neither(address: str) -> None:
    assert load("--metrics", address).metrics == address


def test_the_metrics_token_comes_from_its_file(tmp_path: Path) -> None:
    assert load().metrics_token() == ""
    (tmp_path / "token").write_text("secret\n")
    assert load("--metrics-token-file", str(tmp_path / "token")).metrics_token() == "secret"
    (tmp_path / "token").write_text("\n")
    with pytest.raises(OSError, match="is empty"):
        load("--metrics-token-file", str(tmp_path / "token")).metrics_token()


@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        (["--nosuch", "1"], "seaway-agent: unrecognized arguments: --nosuch 1 (see seaway-agent --help)"),
        (["--patience", "soon"], "seaway-agent: --patience: 'soon': Input should be a valid integer"),
        (["--patience", "0"], "seaway-agent: --patience: '0': Input should be greater than 0"),
        (["--node", "a.b"], "seaway-agent: --node: no node may be called 'a.b'"),
        (["--metrics", "9100"], "seaway-agent: --metrics: '9100' is not an address: write HOST:PORT"),
        (["--metrics", "h:9-8"], "seaway-agent: --metrics: 'h:9-8' has no range of ports: write HOST:FIRST-LAST"),
        (["--log-level", "loud"], "seaway-agent: --log-level: 'loud': Input should be 'debug', 'info'"),
        (["--nats", "http://x"], "seaway-agent: --nats: 'http://x' is not a NATS URL"),
        (["--config", "/proc/none"], "seaway-agent: can't read /proc/none: No such file or directory"),
    ],
)
def test_wrong_flags_get_one_line(capsys: pytest.CaptureFixture[str], argv: list[str], wanted: str) -> None:
    assert refusal(capsys, *argv).startswith(wanted)


def test_wrong_environment_names_the_variable(capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(capsys, env={"SEAWAY_PATIENCE": "x"}).startswith("seaway-agent: SEAWAY_PATIENCE: 'x': ")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("nosuch = 1", ": nosuch: unknown setting (see seaway-agent --help)"),
        ("[agent]\nnosuch = 1", ": nosuch: unknown setting"),
        ("[nosuch]\na = 1", ": nosuch: unknown setting"),
        ("patience = 0", ": patience: "),
        ("a = ", " is not TOML: "),
    ],
)
def test_wrong_file(capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, wanted: str) -> None:
    file = tmp_path / "seaway.toml"
    file.write_text(text)
    found = refusal(capsys, "--config", str(file))
    assert found.startswith(f"seaway-agent: {file}{wanted}")


def test_all_that_is_wrong_stands_in_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    text = refusal(capsys, "--patience", "0", "--node", "*")
    assert "--patience" in text
    assert "--node" in text


def test_help_lists_fields(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        load("--help")
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for part in ("An example of a service.", "--nats-password-file", "(repeatable)", "--no-verbose", "[3]"):
        assert part in text
    assert "A documented field." in text


def test_merge_does_not_read_the_real_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAWAY_PATIENCE", "9")
    assert merge(ExampleSettings, [], prog="seaway-agent", env={}).patience == 3


@pytest.mark.parametrize(
    ("hostname", "node"), [("web1.example.org", "web1"), ("häuser", "h-user"), ("a_b-c", "a_b-c"), ("", "node")]
)
def test_default_node_is_a_subject_token(hostname: str, node: str) -> None:
    assert default_node(hostname) == node
