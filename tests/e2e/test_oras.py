"""Artifacts at the suite's own registry, as `oras` keeps them."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_rig.own_registry import Suite
from e2e_rig.registry_login import RegistryLogin

pytestmark = [
    pytest.mark.seaway_only,
    pytest.mark.own_engines,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("oras") is None, reason="oras is missing: Debian has it from 13 on"),
]
REPORT = "application/vnd.example.report"
SIGNATURE = "application/vnd.example.signature"


class Oras:
    """The command, logged in."""

    def __init__(self, login: RegistryLogin, place: Path) -> None:
        self.registry = login.address
        self.place = place
        place.mkdir()
        words = ("login", "--username", login.name, "--password-stdin", login.address)
        assert "Login Succeeded" in self(*words, given=login.password)

    def __call__(self, *words: str, given: str = "") -> str:
        done = self.try_(*words, given=given)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def try_(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """With the exit code and what was said."""
        of_command = 2 if words[0] in ("blob", "manifest", "repo") else 1
        sides = ("from-", "to-") if words[0] == "cp" else ("",)
        options = [
            f"--{side}{option}"
            for side in sides
            for option in ("plain-http", f"registry-config={self.place / 'login.json'}")
        ]
        command = ["oras", *words[:of_command], *options, *words[of_command:]]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.place)}
        return subprocess.run(
            command, capture_output=True, text=True, timeout=120, input=given, cwd=self.place, env=environment
        )


@pytest.fixture(scope="module")
def suite(e2e_directory: Path) -> Iterator[Suite]:
    made = Suite(e2e_directory / "oras")
    made.start()
    try:
        yield made
    finally:
        made.purge()


@pytest.fixture(scope="module")
def oras(suite: Suite, e2e_directory: Path) -> Oras:
    return Oras(suite.login("pusher", "push"), e2e_directory / "oras-pusher")


@pytest.fixture(scope="module")
def reader(suite: Suite, e2e_directory: Path) -> Oras:
    return Oras(suite.login("puller", "pull"), e2e_directory / "oras-puller")


def digest_of(oras: Oras, reference: str) -> str:
    return str(json.loads(oras("manifest", "fetch", "--descriptor", reference))["digest"])


def test_an_artifact_goes_there_and_comes_back(oras: Oras, reader: Oras, tmp_path: Path, name: str) -> None:
    where = f"{oras.registry}/{name}"
    (oras.place / "report.json").write_text('{"good": true}')
    (oras.place / "large").write_bytes(b"0123456789abcdef" * (1 << 20))
    oras("push", f"{where}:1,latest", "--artifact-type", REPORT, "report.json:application/json", "large")
    assert oras("repo", "tags", where).split() == ["1", "latest"]
    assert name in oras("repo", "ls", oras.registry).split()
    reader("pull", f"{where}:1", "--output", str(tmp_path))
    for file in ("report.json", "large"):
        assert (tmp_path / file).read_bytes() == (oras.place / file).read_bytes()
    refused = reader.try_("push", f"{where}:2", "--artifact-type", REPORT)
    assert refused.returncode != 0 and "you may not push" in refused.stderr


def test_what_is_attached_is_found_copied_and_deleted(oras: Oras, reader: Oras, name: str) -> None:
    one, other = f"{oras.registry}/{name}", f"{oras.registry}/{name}-copy"
    (oras.place / "signature").write_text("signed")
    oras("push", f"{one}:1", "--artifact-type", REPORT)
    oras("attach", f"{one}:1", "--artifact-type", SIGNATURE, "signature")
    subject = digest_of(oras, f"{one}:1")
    oras("cp", "--recursive", f"{one}:1", f"{other}:1")
    for where in (one, other):
        found = json.loads(reader("discover", "--format", "json", f"{where}:1"))["manifests"]
        assert [row["artifactType"] for row in found] == [SIGNATURE]
    oras("manifest", "delete", "--force", f"{one}@{subject}")
    assert reader.try_("manifest", "fetch", f"{one}:1").returncode != 0
    assert digest_of(reader, f"{other}:1") == subject


def test_tags_and_blobs(oras: Oras, name: str) -> None:
    where = f"{oras.registry}/{name}"
    oras("push", f"{where}:1", "--artifact-type", REPORT)
    oras("tag", f"{where}:1", "2", "3")
    assert oras("repo", "tags", where).split() == ["1", "2", "3"]
    (oras.place / "blob").write_text("a blob")
    pushed = json.loads(oras("blob", "push", "--descriptor", where, "blob"))
    assert oras("blob", "fetch", "--output", "-", f"{where}@{pushed['digest']}") == "a blob"
    oras("blob", "delete", "--force", f"{where}@{pushed['digest']}")
    assert oras.try_("blob", "fetch", "--output", "-", f"{where}@{pushed['digest']}").returncode != 0
