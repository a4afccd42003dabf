"""What is wrong with a host's directory of certificates, in Docker's words."""

from pathlib import Path

import pytest

from seaway_contracts.errors import Code, SeawayError
from seaway_image.registry.certificates import host_context


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (
            "a.cert",
            "missing key a.key for client certificate a.cert. CA certificates must use the extension .crt",
        ),
        ("a.key", "missing client certificate a.cert for key a.key"),
    ],
)
def test_one_without_the_other(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).write_text("x")
    with pytest.raises(SeawayError) as refused:
        host_context(tmp_path, client=True)
    assert (refused.value.code, refused.value.message) == (Code.BAD_REQUEST, text)
    assert host_context(tmp_path, client=False) is None


def test_no_directory_and_an_empty_one(tmp_path: Path) -> None:
    assert host_context(tmp_path / "none", client=True) is None
    (tmp_path / "README").write_text("x")
    assert host_context(tmp_path, client=True) is None


def test_files_that_are_no_certificates(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "ca.crt").write_text("x")
    assert host_context(tmp_path, client=True) is not None
    assert "ca.crt holds no CA certificate" in caplog.text
    for suffix in ("cert", "key"):
        (tmp_path / f"a.{suffix}").write_text("x")
    with pytest.raises(SeawayError, match=r"client certificate .*/a\.cert: tls: no certificate and key") as refused:
        host_context(tmp_path, client=True)
    assert refused.value.code is Code.INTERNAL
