"""Whether a container gets the node's filter compiled, or as a section that its runtime compiles."""

import base64
import shutil
from pathlib import Path

import pytest

from seaway_agent.kernel import seccomp_bpf
from seaway_agent.runtime.seccomp import Seccomp
from seaway_contracts.containers import Security
from seaway_testing import builders

PROFILE = Path("/usr/share/containers/seccomp.json")
pytestmark = pytest.mark.skipif(
    not PROFILE.exists() or shutil.which("crun") is None, reason="needs crun and golang-github-containers-common"
)


@pytest.fixture
def node() -> Seccomp:
    return Seccomp(PROFILE, takers=["crun"])


def test_the_default_filter_comes_compiled_and_once_for_all(node: Seccomp) -> None:
    first = node.compiled(builders.spec(1), "crun")
    assert len(base64.b64decode(first)) % 8 == 0 and first
    assert node.compiled(builders.spec(2), "crun") is first
    assert node.compiled(builders.spec(3, security=Security(cap_add=("SYS_ADMIN",))), "crun") != first


@pytest.mark.parametrize(
    "security", [Security(privileged=True), Security(seccomp="unconfined"), Security(seccomp='{"defaultAction": "x"}')]
)
def test_what_is_not_the_default_does_not(node: Seccomp, security: Security) -> None:
    assert node.compiled(builders.spec(1, security=security), "crun") == ""


def test_nor_for_a_runtime_that_would_not_take_it(node: Seccomp) -> None:
    assert node.compiled(builders.spec(1), "runc") == ""


def test_nor_where_it_cannot_be_made(node: Seccomp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp_bpf, "_library", lambda: None)
    assert node.compiled(builders.spec(1), "crun") == ""
