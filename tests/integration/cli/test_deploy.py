"""What stands in deploy/ is taken by the tools that it is written for, where they are installed."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seaway_bus import node_keys
from seaway_bus.nats_transport import Credentials, NatsTransport
from seaway_bus.transport import NotConnected
from seaway_cli.layout import ROOT, RUN, Layout
from seaway_cli.permissions import CLI, JOIN, USERS
from seaway_testing.ports import free_port

REPO = Path(__file__).parents[3]
DEPLOY = REPO / "deploy"
USERS_CONF = DEPLOY / "nats" / "users.conf"
UNITS = sorted((DEPLOY / "systemd").iterdir())
SCRIPTS = (
    *("dev", "deploy/agent-in-container", "deploy/nats/make-users"),
    *("tests/vm/run", "tests/vm/init", "tests/vm/smoke", "tests/vm/units"),
    *("tests/compose/run", "tests/compose/with-docker", "tests/compose/stand-ins"),
)


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    routes = {f"SEAWAY_NATS_ROUTE_{number}": f"nats-route://route:x@nats-{number}:6222" for number in (1, 2, 3)}
    passwords = {name: f"x{name}" for name in re.findall(r"\$(SEAWAY_NATS_\w+)", USERS_CONF.read_text())}
    env = os.environ | {"SEAWAY_NATS_ROUTE_PASSWORD": "x"} | passwords | routes
    return subprocess.run(words, capture_output=True, text=True, timeout=60, env=env, cwd=REPO)


@needs("nats-server")
@pytest.mark.parametrize("name", ["single", "cluster"])
def test_nats_configuration(name: str) -> None:
    checked = run("nats-server", "-t", "-c", str(DEPLOY / "nats" / f"{name}.conf"))
    assert checked.returncode == 0, checked.stderr
    assert "sync_interval: always" in (DEPLOY / "nats" / f"{name}.conf").read_text()


@needs("nats-server")
def test_nats_users() -> None:
    """They stand where the server wants them: the file alone is a whole configuration."""
    checked = run("nats-server", "-t", "-c", str(USERS_CONF))
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("name", ["single", "cluster"])
def test_nobody_has_all_rights(name: str) -> None:
    """The users are those of users.conf; a server without it, or without a password for each, doesn't start."""
    text = (DEPLOY / "nats" / f"{name}.conf").read_text()
    assert "include users.conf\n" in text
    assert not re.search(r"^authorization", text, re.MULTILINE)
    users = re.findall(r'"user": "([^"]+)"', USERS_CONF.read_text())
    assert set(users) == {*USERS, "agent.n1"}
    if shutil.which("nats-server"):
        config = ["nats-server", "-t", "-c", str(DEPLOY / "nats" / f"{name}.conf")]
        assert run("env", "-u", "SEAWAY_NATS_METADATA", *config).returncode != 0


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """What deploy/nats/make-users writes for two nodes, and the server's configuration beside it."""
    env = [f"DESTDIR={tmp_path}", f"PYTHON={sys.executable}"]
    for nodes in (["n1"], ["n1", "n-2"]):
        made = run("env", *env, "deploy/nats/make-users", *nodes)
        assert made.returncode == 0, made.stderr
    shutil.copy(DEPLOY / "nats" / "single.conf", tmp_path / "etc/seaway/nats.conf")
    return tmp_path / "etc/seaway"


@contextlib.contextmanager
def served(etc: Path, passwords: dict[str, str]) -> Iterator[int]:
    """Where a server with that configuration listens."""
    port = free_port()
    config = etc / "nats.conf"
    text = config.read_text().replace("/var/lib/seaway/nats", str(etc / "store")).replace("4222", str(port))
    config.write_text(text.replace("8222", "-1"))
    words = ["nats-server", "--config", str(config)]
    with subprocess.Popen(words, env=os.environ | passwords, stderr=subprocess.DEVNULL) as server:
        yield port
        server.terminate()


@needs("openssl")
def test_a_user_for_each_unit(etc: Path) -> None:
    secrets = {path.name: path.read_text() for path in (etc / "passwords").iterdir()}
    assert set(secrets) == {*USERS, "agent.n1", "agent.n-2"} and len(set(secrets.values())) == len(secrets)
    assert all(secret[0].isalpha() for secret in secrets.values())  # NATS reads others as numbers, if they look so
    private = [*(etc / "passwords").iterdir(), *(etc / name for name in ("nats.env", "agent-password", "agent.env"))]
    assert {path.stat().st_mode & 0o77 for path in (*private, etc / "passwords")} == {0}
    assert {path.stat().st_mode & 0o77 for path in (etc / "users.conf", etc)} == {0o44, 0o55}
    for service in (name for name in USERS if name not in (CLI, JOIN)):
        lines = (DEPLOY / f"systemd/seaway-{service}.service").read_text().splitlines()
        assert f"Environment=SEAWAY_NATS_USER={service} SEAWAY_NATS_PASSWORD_FILE=%d/nats-password" in lines
        assert f"LoadCredential=nats-password:/etc/seaway/passwords/{service}" in lines
    agent = (DEPLOY / "systemd/seaway-agent.service").read_text().splitlines()
    assert "EnvironmentFile=/etc/seaway/agent.env" in agent
    assert "LoadCredential=nats-password:/etc/seaway/agent-password" in agent
    assert (etc / "agent.env").read_text().splitlines() == ["SEAWAY_NODE=n1", "SEAWAY_NATS_USER=agent.n1"]
    assert (etc / "agent-password").read_text() == secrets["agent.n1"]


@needs("nats-server")
@needs("openssl")
async def test_the_server_lets_each_in_with_its_own_password(etc: Path) -> None:
    secrets = {path.name: path.read_text().strip() for path in (etc / "passwords").iterdir()}
    with served(etc, dict(line.split("=", 1) for line in (etc / "nats.env").read_text().splitlines())) as port:
        for user, password in secrets.items():
            await (await let_in(port, user, password)).close()
        for user, password in (("api", secrets["cli"]), ("seaway", secrets["api"])):
            with pytest.raises(NotConnected, match="let us in"):
                await let_in(port, user, password, 0.5)


@needs("nats-server")
@needs("openssl")
async def test_a_node_that_joined_has_a_key_and_no_password(etc: Path, tmp_path: Path) -> None:
    seed = node_keys.new_seed()
    words = ["deploy/nats/make-users", "n1", f"n2={node_keys.public_key(seed)}"]
    made = run("env", f"DESTDIR={tmp_path}", f"PYTHON={sys.executable}", *words)
    assert made.returncode == 0, made.stderr
    assert not (etc / "passwords" / "agent.n2").exists()
    with served(etc, dict(line.split("=", 1) for line in (etc / "nats.env").read_text().splitlines())) as port:
        for key, is_let_in in ((seed, True), (node_keys.new_seed(), False)):
            login = NatsTransport.connect(
                f"nats://127.0.0.1:{port}", name="t", credentials=Credentials("agent.n2", seed=key), timeout_s=2
            )
            if is_let_in:
                await (await login).close()
            else:
                with pytest.raises(NotConnected):
                    await login
    wrong = run("env", f"DESTDIR={tmp_path}", f"PYTHON={sys.executable}", *words[:2], "n2=no-key")
    assert wrong.returncode != 0
    assert node_keys.public_key(seed) in (etc / "users.conf").read_text(), "the file is as it was"


@needs("nats-server")
@needs("docker")
async def test_each_service_of_the_compose_file_has_its_own_user(tmp_path: Path) -> None:
    shown = composed()
    for name in ("single.conf", "users.conf"):
        assert any(one["source"].endswith(f"deploy/nats/{name}") for one in shown["services"]["nats"]["volumes"])
        shutil.copy(DEPLOY / "nats" / name, tmp_path / name.replace("single", "nats"))
    users = {}
    with served(tmp_path, shown["services"]["nats"]["environment"]) as port:
        for name in ("api", "image", "metadata", "scheduler", "agent"):
            service = shown["services"][name]
            users[name] = service["environment"]["SEAWAY_NATS_USER"]
            (source,) = [one["source"] for one in service["configs"] if one["target"] == "/etc/seaway/nats-password"]
            await (await let_in(port, users[name], shown["configs"][source]["content"])).close()
    assert users == {name: name for name in USERS if name not in (CLI, JOIN)} | {"agent": "agent.n1"}


async def let_in(port: int, user: str, password: str, timeout_s: float = 10) -> NatsTransport:
    url, credentials = f"nats://127.0.0.1:{port}", Credentials(user, password)
    return await NatsTransport.connect(url, name="test", credentials=credentials, timeout_s=timeout_s)


@needs("promtool")
def test_prometheus_configuration() -> None:
    checked = run("promtool", "check", "config", "--syntax-only", str(DEPLOY / "prometheus" / "prometheus.yml"))
    assert checked.returncode == 0, checked.stdout + checked.stderr


@needs("promtool")
@pytest.mark.parametrize("what", ["check", "test"])
def test_prometheus_rules(what: str) -> None:
    files = (DEPLOY / "prometheus").glob("rules/*.yml" if what == "check" else "tests/*.yml")
    checked = run("promtool", what, "rules", *map(str, files))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def composed() -> dict[str, Any]:
    """docker-compose.dev.yml, as docker compose understands it."""
    if run("docker", "compose", "version").returncode != 0:
        pytest.skip("docker compose is not installed")
    shown = run("docker", "compose", "-f", "docker-compose.dev.yml", "config", "--format", "json")
    assert shown.returncode == 0, shown.stderr
    whole: dict[str, Any] = json.loads(shown.stdout)
    return whole


@needs("docker")
def test_compose_file() -> None:
    services = {"nats", "api", "image", "metadata", "scheduler", "machine", "agent", "prometheus"}
    assert services <= composed()["services"].keys()


@needs("docker")
def test_the_apis_port_is_for_the_host_alone() -> None:
    """The proxy that Docker publishes shares no network with others, and what comes by it is looked at as from TCP."""
    services = composed()["services"]
    port = services["api-port"]
    assert {mapping["host_ip"] for mapping in port["ports"]} == {"127.0.0.1"}
    assert [name for name, service in services.items() if set(service.get("networks", ())) & set(port["networks"])] == [
        "api-port"
    ]
    assert services["api"]["environment"]["SEAWAY_BEHIND_PROXY"] == "true"
    assert not services["api"].get("ports")


@needs("docker")
def test_the_agent_leaves_what_must_outlive_it_to_the_machine() -> None:
    services = composed()["services"]
    agent, machine = services["agent"], services["machine"]
    assert agent["pid"] == agent["network_mode"] == "service:machine"
    assert agent["entrypoint"] == ["agent-in-container"]
    assert (agent["cgroup"], machine["cgroup"]) == ("host", "private")
    for service in (agent, machine):
        assert service["privileged"] is True
        assert ("run", "/run/seaway") in {(one["source"], one["target"]) for one in service["volumes"]}
    assert machine["image"] != agent["image"], "a build must not replace the machine"
    assert [name for name, service in services.items() if "build" in service] == ["nats"], "built once for all"


def test_the_image_has_what_is_copied_into_it() -> None:
    """.dockerignore lets through what the Containerfile copies from the repository."""
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    copied = {word for line in lines for word in line.split()}
    let_through = re.findall(r"^!(\S+)$", (REPO / ".dockerignore").read_text(), re.MULTILINE)
    assert copied == set(let_through)
    assert all((REPO / name).exists() for name in copied)


@needs("systemd-analyze")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_unit(unit: Path, tmp_path: Path) -> None:
    """systemd knows every setting; programs that aren't installed here are replaced by one that is."""
    for other in UNITS:
        text = re.sub(r"^(Exec\w+=)\S+", r"\1/bin/true", other.read_text(), flags=re.MULTILINE)
        (tmp_path / other.name).write_text(text)
    checked = run("systemd-analyze", "verify", "--man=no", str(tmp_path / unit.name))
    assert (checked.returncode, checked.stderr) == (0, "")


PRIVILEGED = {"seaway-agent.service", "seaway-node.service"}
SANDBOXED = [unit for unit in UNITS if unit.suffix == ".service" and unit.name not in PRIVILEGED]


@needs("systemd-analyze")
@pytest.mark.parametrize("unit", SANDBOXED, ids=lambda unit: unit.name)
def test_exposure(unit: Path, tmp_path: Path) -> None:
    """systemd's own judgement of the sandbox, from 0 to 10: 1.1 is reached; what needs the network can't have less."""
    (tmp_path / unit.name).write_text(re.sub(r"^(Exec\w+=)\S+", r"\1/bin/true", unit.read_text(), flags=re.MULTILINE))
    judged = run("systemd-analyze", "security", "--offline=true", "--threshold=15", str(tmp_path / unit.name))
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_services_are_watched_and_come_after_the_bus() -> None:
    for unit in [one for one in UNITS if one.suffix == ".service" and one.stem != "seaway-nats"]:
        lines = unit.read_text().splitlines()
        assert {"Type=notify", "Restart=always", "WatchdogSec=30", "PartOf=seaway.target"} <= set(lines), unit.name
        (after,) = [line for line in lines if line.startswith("After=")]
        assert "seaway-nats.service" in after
        assert "StartLimitIntervalSec=0" in lines, "a bus that is away for long must not end the restarts"


def test_the_api_gets_its_socket_from_systemd() -> None:
    service, sock = [(DEPLOY / "systemd" / f"seaway-api.{kind}").read_text() for kind in ("service", "socket")]
    assert "Requires=seaway-api.socket\n" in service
    assert "--host" not in service and "RuntimeDirectory=seaway\n" not in service
    assert "RuntimeDirectory=seaway-streams\n" in service
    for other in ("api", "agent", "image"):
        unit = (DEPLOY / "systemd" / f"seaway-{other}.service").read_text()
        assert "Environment=SEAWAY_STREAMS=/run/seaway-streams\n" in unit
    assert "ListenStream=/run/seaway/docker.sock\nSocketMode=0660\n" in sock


def test_units_start_the_declared_programs() -> None:
    scripts = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["scripts"]
    started = {match for unit in UNITS for match in re.findall(r"ExecStart=/opt/seaway/bin/(\S+)", unit.read_text())}
    assert started == set(scripts) - {"seaway"}
    compose = (REPO / "docker-compose.dev.yml").read_text()
    assert set(re.findall(r"command: \[(seaway-\w+)", compose)) == started


def test_only_the_agent_is_privileged() -> None:
    texts = {unit.name: unit.read_text() for unit in UNITS if unit.suffix == ".service"}
    for name, text in texts.items():
        sandboxed = "NoNewPrivileges=yes" in text and "CapabilityBoundingSet=\n" in text and "User=seaway" in text
        assert sandboxed is (name not in PRIVILEGED), name
    for name in PRIVILEGED:
        assert "Delegate=yes\n" in texts[name] and "KillMode=process\n" in texts[name]


def test_the_unit_of_a_node_that_joined_starts_what_seaway_join_has_written() -> None:
    """With the directories that `seaway join` takes by itself. The file says all else, so no variable may differ."""
    unit = (DEPLOY / "systemd/seaway-node.service").read_text()
    layout = Layout(ROOT, RUN)
    assert f"--config {layout.agent_config}\n" in unit and f"ConditionPathExists={layout.agent_config}\n" in unit
    assert f"StateDirectory={ROOT.relative_to('/var/lib')}\n" in unit
    assert f"RuntimeDirectory={RUN.relative_to('/run')}\n" in unit
    assert "Environment=" not in unit and "Conflicts=seaway-agent.service\n" in unit
    agent = (DEPLOY / "systemd/seaway-agent.service").read_text().splitlines()
    own = {"Restart", "WatchdogSec", "TimeoutStopSec", "KillMode", "Delegate", "TasksMax", "OOMScoreAdjust"}
    shared = [line for line in agent if line.startswith("Limit") or line.partition("=")[0] in own]
    assert set(shared) <= set(unit.splitlines())


def test_what_is_kept_has_a_place() -> None:
    """`ProtectSystem=strict` leaves only StateDirectory= to write to."""
    for name in ("image", "metadata", "nats"):
        text = (DEPLOY / "systemd" / f"seaway-{name}.service").read_text()
        assert f"StateDirectory=seaway/{name}\n" in text


@needs("dash")
@pytest.mark.parametrize("script", SCRIPTS)
def test_script_is_posix_shell(script: str) -> None:
    checked = run("dash", "-n", script)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_dev_and_the_image_install_the_same_packages() -> None:
    """What the agent finds in the image it finds after `./dev up` too; the demo needs busybox besides."""
    (of_dev,) = re.findall(r'^suite_packages="([^"]+)"', (REPO / "dev").read_text(), re.MULTILINE)
    last_stage = (DEPLOY / "Containerfile").read_text().rpartition("\nFROM ")[2]
    (of_image,) = re.findall(r"--no-install-recommends([^&]+)&&", last_stage)
    assert set(of_dev.split()) - {"busybox-static"} == set(of_image.replace("\\\n", " ").split())
    assert "tini" in of_dev.split(), "docker run --init needs it"


def test_wrong_command() -> None:
    asked = run("./dev", "nonsense")
    assert asked.returncode == 2
    assert asked.stderr.startswith("Usage: ./dev COMMAND")


def _pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==(\S+)", (REPO / lock).read_text(), re.MULTILINE))


def test_locks() -> None:
    """Both have the same versions and hashes for all; what is only for work on Seaway is not deployed."""
    runtime, dev = _pins("requirements.lock"), _pins("requirements-dev.lock")
    assert runtime.items() < dev.items()
    assert {"pytest", "mypy", "ruff", "docker"} <= dev.keys() - runtime.keys()
    for lock in ("requirements.lock", "requirements-dev.lock"):
        pins = re.split(r"^(?=[\w.-]+==)", (REPO / lock).read_text(), flags=re.MULTILINE)[1:]
        assert all("--hash=sha256:" in pin for pin in pins)
        assert "://" not in (REPO / lock).read_text()
    assert "requirements.lock" in (DEPLOY / "Containerfile").read_text()


@needs("uv")
def test_the_tools_come_on_top_of_what_a_suite_needs_and_stay(tmp_path: Path) -> None:
    for name in ("dev", "pyproject.toml", "README.md", "LICENSE", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(REPO / name, tmp_path / name)
    for name in ("common", "services"):
        (tmp_path / name).symlink_to(REPO / name)
    said: list[tuple[str, bool, bool]] = []
    for kind in ("run", "run", "dev", "dev", "run"):
        script = f"set -- help; . ./dev >/dev/null; make_environment {kind}"
        made = subprocess.run(["sh", "-c", script, "./dev"], capture_output=True, text=True, timeout=300, cwd=tmp_path)
        assert made.returncode == 0, made.stderr
        said.append((made.stdout, (tmp_path / ".venv/bin/pytest").exists(), (tmp_path / ".venv/bin/seaway").exists()))
    fresh, same = "Making .venv\n", ""
    assert said == [(fresh, False, True), (same, False, True), (fresh, True, True), *[(same, True, True)] * 2]
