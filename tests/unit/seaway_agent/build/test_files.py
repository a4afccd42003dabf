"""The builder's command line and files."""

import base64
import json
import tomllib
from pathlib import Path

from seaway_agent.build import files
from seaway_contracts.builds import BuildBase, BuildOptions

BASE = BuildBase(name="busybox", source="localhost/seaway-image/ab:latest", id="sha256:ab")


def test_registries_lead_to_the_image_service_alone() -> None:
    found = tomllib.loads(files.registries_conf("http://127.0.0.1:7", [BASE]))
    assert {one["prefix"]: (one["location"], one["insecure"]) for one in found["registry"]} == {
        "127.0.0.1:7": ("127.0.0.1:7", True),
        "localhost": ("127.0.0.1:7/localhost", True),
    }
    assert found["short-name-mode"] == "disabled"
    assert tomllib.loads(files.registries_conf("https://h:7", [BASE]))["registry"][0]["insecure"] is False


def test_the_policy_rejects_all_but_the_bases() -> None:
    found = json.loads(files.policy_json([BASE]))
    assert found["default"] == [{"type": "reject"}]
    assert set(found["transports"]) == {"docker", "containers-storage"}
    assert list(found["transports"]["docker"]) == ["localhost/seaway-image/ab"]


def test_the_token_is_a_password() -> None:
    found = json.loads(files.auth_json("http://h:1", "secret"))
    assert base64.b64decode(found["auths"]["h:1"]["auth"]) == b"build:secret"


def test_options_cannot_become_flags() -> None:
    options = BuildOptions(args={"A": "--x", "B": None}, labels={"l": "v"}, target="t", no_cache=True)
    words = files.build_words(options, [BASE], Path("/w"), {"nofile": (1, 2)})
    at = words.index("--build-arg")
    assert words[at : at + 2] == ["--build-arg", "A=--x"] and words.count("--build-arg") == 1
    assert "busybox=docker-image://localhost/seaway-image/ab:latest" in words
    assert {"--layers", "--no-cache", "nofile=1:2", "--pull=missing"} < set(words)
    assert words[-1] == "/w/context"
    assert {"--squash", "--layers=false"} < set(files.build_words(BuildOptions(squash=True), [], Path("/w"), {}))


def test_the_runtime_asks_before_a_step() -> None:
    script = files.runtime_script("/usr/bin/crun", Path("/a b"))
    assert script.startswith("#!/bin/sh\nd='/a b'\n") and "exec /usr/bin/crun --root" in script
