import shutil
import subprocess
from pathlib import Path

import pytest

from seaway_cli.nats_config import NatsServer, render
from seaway_cli.permissions import USERS


def config(store: Path) -> str:
    return render(NatsServer("seaway-abc", 14222, store, {user: user + '-"}w' for user in USERS}))


def test_what_the_design_asks_for() -> None:
    text = config(Path("/x/nats"))
    assert "sync_interval: always" in text
    assert "max_payload: 8388608" in text
    assert 'listen: "127.0.0.1:14222"' in text
    assert 'store_dir: "/x/nats"' in text
    for user in USERS:
        assert f'"user": "{user}"' in text


@pytest.mark.skipif(shutil.which("nats-server") is None, reason="nats-server is not installed")
def test_the_server_takes_it(tmp_path: Path) -> None:
    file = tmp_path / "nats.conf"
    file.write_text(config(tmp_path / 'odd " name'))
    checked = subprocess.run(["nats-server", "-t", "-c", str(file)], capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0, checked.stderr
