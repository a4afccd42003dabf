"""Metrics that only those read who have the token: the real Prometheus has it."""

import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_rig.prometheus import fetch, scraping
from e2e_rig.seaway import Seaway, seaway
from e2e_rig.waits import eventually

pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines]
TOKEN = "a-token-of-this-test"


@pytest.fixture
def suite(e2e_directory: Path, name: str) -> Iterator[Seaway]:
    (e2e_directory / name).mkdir()
    token = e2e_directory / name / "token"
    token.write_text(f"{TOKEN}\n")
    token.chmod(0o600)
    made = Seaway(e2e_directory / name, up=("--metrics-token-file", str(token)))
    made.start()
    yield made
    made.purge()


def status_of(url: str, **headers: str) -> int:
    return fetch(url, **headers)[0]


def test_every_service_asks_for_the_token(suite: Seaway, tmp_path: Path) -> None:
    urls = {row["service"]: row["metrics"] for row in suite.rows() if row["metrics"]}
    assert set(urls) == {"api", "image", "metadata", "scheduler", "agent"}
    for url in urls.values():
        assert status_of(url) == 401
        assert status_of(url, Authorization=f"Bearer {TOKEN}x") == 401
        assert status_of(url, Authorization=f"Bearer {TOKEN}") == 200
        assert status_of(url.replace("/metrics", "/readyz")) == 200
    job = {
        "job_name": "seaway",
        "authorization": {"credentials_file": str(suite.root.parent / "token")},
        "static_configs": [{"targets": [urllib.parse.urlsplit(url).netloc for url in urls.values()]}],
    }
    with scraping(tmp_path, job) as prometheus:

        def all_up() -> bool:
            targets = prometheus.targets()
            return len(targets) == len(urls) and {target["health"] for target in targets} == {"up"}

        eventually(all_up, "all targets to be up", 60)


def test_a_token_file_that_is_missing_or_empty(e2e_directory: Path, name: str) -> None:
    place = e2e_directory / name
    place.mkdir()
    (place / "empty").touch()
    for file, why in ((place / "none", "No such file"), (place / "empty", "it is empty")):
        words = ["--root", str(place / "root"), "--run", str(place / "run"), "--detach"]
        done = seaway("up", *words, "--metrics-token-file", str(file))
        assert done.returncode != 0 and str(file) in done.stderr and why in done.stderr, done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert not (place / "root").exists() and not (place / "run").exists()
