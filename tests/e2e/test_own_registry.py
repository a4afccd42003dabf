"""The suite's own registry, as other engines and tools use it with logins of `seaway user add --registry`."""

import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e_rig import images
from e2e_rig.docker_cli import DockerCli
from e2e_rig.dockerd import Dockerd
from e2e_rig.layouts import Layout
from e2e_rig.own_registry import Suite
from e2e_rig.registry_login import RegistryLogin
from e2e_rig.seaway import seaway
from e2e_rig.waits import eventually

from seaway_testing.ports import free_port

pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines, pytest.mark.timeout(300)]
ARTIFACT = "application/vnd.example.report"
EMPTY = b"{}"
PIECE, PIECES = 64 << 20, int(os.environ.get("SEAWAY_E2E_LAYERS", "4"))
MEMORY = 150 << 20


@pytest.fixture(scope="module")
def suite(e2e_directory: Path) -> Iterator[Suite]:
    port = free_port()
    made = Suite(e2e_directory / "own-registry", port)
    made.start()
    try:
        assert made.registry == f"127.0.0.1:{port}"
        yield made
    finally:
        made.purge()


@pytest.fixture(scope="module")
def ours(suite: Suite, e2e_directory: Path) -> DockerCli:
    """The docker CLI at the suite."""
    (e2e_directory / "ours").mkdir()
    return DockerCli(suite.host, e2e_directory / "ours")


@pytest.fixture(scope="module")
def theirs(e2e_directory: Path) -> Iterator[DockerCli]:
    """The docker CLI at a real dockerd, with busybox."""
    engine = Dockerd(e2e_directory / "theirs")
    engine.start()
    try:
        (e2e_directory / "theirs-cli").mkdir()
        cli = DockerCli(engine.host, e2e_directory / "theirs-cli")
        cli("load", input=images.busybox_archive())
        yield cli
    finally:
        engine.purge()


@pytest.fixture(scope="module")
def pusher(suite: Suite) -> RegistryLogin:
    return suite.login("pusher", "push")


@pytest.fixture(scope="module")
def puller(suite: Suite) -> RegistryLogin:
    return suite.login("puller", "pull")


def image_of(directory: Path, name: str) -> str:
    """An image that prints its name, for skopeo."""
    file = directory / f"{name}.tar"
    file.write_bytes(images.archive([images.busybox_layer()], {"Cmd": ["echo", name]}, [f"{name}:1"]))
    return f"docker-archive:{file}"


def good(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_skopeo_copies_there_and_back(
    suite: Suite, ours: DockerCli, pusher: RegistryLogin, puller: RegistryLogin, tmp_path: Path, name: str
) -> None:
    good(pusher.push(image_of(tmp_path, name), f"{name}:1", tmp_path))
    assert ours("run", "--rm", "--network", "none", f"{name}:1").out == name
    good(puller.pull(f"{name}:1", f"dir:{tmp_path}/back", tmp_path))
    assert puller.asked(f"/v2/{name}/manifests/1") == (200, (tmp_path / "back" / "manifest.json").read_bytes())

    def told() -> list[dict[str, Any]]:
        lines = ours(
            "events", "--since", "10m", "--until", "0s", "--filter", "event=tag", "--format", "{{json .}}"
        ).lines
        return [one for one in map(json.loads, lines) if one["Actor"]["Attributes"].get("name") == f"{name}:1"]

    (event,) = eventually(told, "its event")
    audit = seaway("events", "--audit", "--no-follow", "--filter", "event=tag", "--run", str(suite.run), "--json")
    (by,) = [row["by"] for row in map(json.loads, audit.stdout.splitlines()) if row["timeNano"] == event["timeNano"]]
    assert by == "user:pusher"


def test_a_real_dockerd_logs_in_pushes_and_pulls(
    suite: Suite, ours: DockerCli, theirs: DockerCli, pusher: RegistryLogin, name: str
) -> None:
    where = f"{suite.registry}/{name}:1"
    theirs("tag", "busybox", where)
    assert "no basic auth credentials" in theirs.try_("push", where).err
    words = ("login", "--username", pusher.name, "--password-stdin", suite.registry)
    assert "401 Unauthorized" in theirs.try_(*words, input="wrong").err
    assert "Login Succeeded" in theirs(*words, input=pusher.password).out
    digest = theirs("push", where).lines[-1].split()[2]
    assert ours("run", "--rm", "--network", "none", f"{name}:1", "echo", "pushed").out == "pushed"
    assert ours("inspect", "--format", "{{json .RepoDigests}}", f"{name}:1").out == json.dumps([f"{name}@{digest}"])
    theirs("rmi", where)
    assert f"Digest: {digest}" in theirs("pull", where).out
    ours("tag", "busybox" if "busybox" in ours("images").out else f"{name}:1", f"{name}:made")
    assert "Status: Downloaded newer image" in theirs("pull", f"{suite.registry}/{name}:made").out
    theirs("logout", suite.registry)
    assert "no basic auth credentials" in theirs.try_("pull", where).err


def test_buildah_pushes_and_pulls(pusher: RegistryLogin, tmp_path: Path, name: str) -> None:
    root = ("buildah", "--storage-driver", "vfs", "--root", f"{tmp_path}/root", "--runroot", f"{tmp_path}/run")
    creds, policy = f"--creds={pusher.name}:{pusher.password}", tmp_path / "policy.json"
    policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    options = ("--tls-verify=false", "--signature-policy", str(policy), creds)
    environment = os.environ | {"TMPDIR": str(tmp_path), "HOME": str(tmp_path)}

    def buildah(*words: str) -> str:
        return good(subprocess.run([*root, *words], capture_output=True, text=True, timeout=120, env=environment))

    made = buildah("pull", "--signature-policy", str(policy), image_of(tmp_path, name)).strip()
    buildah("push", *options, made, pusher.image(f"{name}:b"))
    buildah("rmi", "--force", made)
    assert buildah("pull", *options, pusher.image(f"{name}:b")).strip() == made


def test_an_artifact_comes_back_with_its_referrers(
    ours: DockerCli, pusher: RegistryLogin, puller: RegistryLogin, tmp_path: Path, name: str
) -> None:
    good(pusher.push(image_of(tmp_path, name), f"{name}:1", tmp_path))
    subject = puller.asked(f"/v2/{name}/manifests/1")[1]
    layout = Layout(tmp_path / "artifact")
    report = layout.add(b'{"good": true}', ARTIFACT)
    layout.artifact(ARTIFACT, report, about=subject)
    good(pusher.push(f"oci:{layout.place}", f"{name}:report", tmp_path))
    assert f"{name}:report" not in ours("images", "-a", "--format", "{{.Repository}}:{{.Tag}}").lines
    status, body = puller.asked(f"/v2/{name}/referrers/sha256:{hashlib.sha256(subject).hexdigest()}")
    assert status == 200 and [row["artifactType"] for row in json.loads(body)["manifests"]] == [ARTIFACT]
    good(puller.pull(f"{name}:report", f"oci:{tmp_path}/back", tmp_path))
    assert (tmp_path / "back" / "blobs" / "sha256" / str(report["digest"])[7:]).read_bytes() == b'{"good": true}'


def test_large_layers_are_not_held_in_memory(suite: Suite, pusher: RegistryLogin, tmp_path: Path, name: str) -> None:
    pid = suite.row("image")["pid"]
    layout = Layout(tmp_path / "large")
    layout.image([os.urandom(PIECE) for _ in range(PIECES)])
    for act in (
        lambda: pusher.push(f"oci:{layout.place}", f"{name}:1", tmp_path),
        lambda: pusher.pull(f"{name}:1", f"oci:{tmp_path}/back", tmp_path),
    ):
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak starts anew
        good(act())
        assert peak_of(pid) < MEMORY
    assert suite.row("image")["pid"] == pid


def peak_of(pid: int) -> int:
    """The most memory that a process has had, in bytes."""
    rows = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(row.split()[1] for row in rows if row.startswith("VmHWM:"))) << 10


def test_a_login_for_pulling_changes_nothing(
    pusher: RegistryLogin, puller: RegistryLogin, tmp_path: Path, name: str
) -> None:
    refused = puller.push(image_of(tmp_path, name), f"{name}:1", tmp_path)
    assert refused.returncode == 1 and "denied" in refused.stderr
    good(pusher.push(image_of(tmp_path, name), f"{name}:1", tmp_path))
    assert puller.asked(f"/v2/{name}/manifests/1", "DELETE")[0] == 403
    assert puller.asked(f"/v2/{name}/manifests/1")[0] == 200


def test_who_was_removed_or_has_another_password_is_refused(suite: Suite, name: str) -> None:
    before = suite.login(name, "pull")
    assert before.asked() == (200, EMPTY)
    after = RegistryLogin.of(suite.registry, good(suite.user("rotate", name, "--json")))
    eventually(lambda: before.asked()[0] == 401, "the password before to be refused")
    assert after.asked() == (200, EMPTY)
    rows = json.loads(good(seaway("user", "ls", "--json", "--run", str(suite.run))))
    (row,) = [row for row in rows if row["name"] == name]
    assert row["registry"] == {"rights": "pull", "password": ""}
    good(suite.user("rm", name))
    eventually(lambda: after.asked()[0] == 401, "the login to be refused")
    assert RegistryLogin(suite.registry, "nobody", "x").asked()[0] == 401
    kept = b"".join(path.read_bytes() for path in suite.root.rglob("*") if path.is_file())
    kept += b"".join(path.read_bytes() for path in suite.run.rglob("*") if path.is_file())
    assert before.password.encode() not in kept and after.password.encode() not in kept


def test_while_metadata_is_away_nobody_is_refused_for_good(suite: Suite, name: str) -> None:
    login = suite.login(name, "pull")
    pid = suite.row("metadata")["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        status, body = login.asked()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert status == 503 and "logins can't be checked just now" in json.loads(body)["errors"][0]["message"]
    eventually(lambda: login.asked()[0] == 200, "the login to be let in")
