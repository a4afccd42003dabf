import shutil
import subprocess
from pathlib import Path

import pytest

from seaway_cli.hosts import Listen, Tls
from seaway_cli.nats_config import NatsServer, render
from seaway_cli.permissions import USERS

ALL = (*USERS, "agent.n1", "agent.n2")


def config(store: Path, listen: Listen | None = None) -> str:
    passwords = {user: user + '-"}w' for user in ALL}
    return render(NatsServer("seaway-abc", 14222, store, passwords, listen or Listen()))


def test_what_the_design_asks_for() -> None:
    text = config(Path("/x/nats"))
    assert "sync_interval: always" in text
    assert "max_payload: 8388608" in text
    assert 'listen: "127.0.0.1:14222"' in text
    assert 'store_dir: "/x/nats"' in text
    for user in ALL:
        assert f'"user": "{user}"' in text


def test_for_other_machines_with_tls() -> None:
    text = config(Path("/x/nats"), Listen("10.0.0.5", Tls("/c.pem", "/k.pem", "/ca.pem")))
    assert 'listen: "10.0.0.5:14222"' in text
    assert 'cert_file: "/c.pem"' in text
    assert "tls" not in config(Path("/x/nats"))


@pytest.mark.skipif(shutil.which("nats-server") is None, reason="nats-server is not installed")
def test_the_server_takes_it(tmp_path: Path) -> None:
    file = tmp_path / "nats.conf"
    file.write_text(config(tmp_path / 'odd " name'))
    checked = subprocess.run(["nats-server", "-t", "-c", str(file)], capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0, checked.stderr
