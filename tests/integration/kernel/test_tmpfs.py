from pathlib import Path

import pytest

from seaway_agent.kernel import tmpfs
from seaway_agent.kernel.launcher import Launcher

pytestmark = pytest.mark.root


def test_a_tmpfs_is_mounted_once_and_unmounted_once(launcher: Launcher, tmp_path: Path) -> None:
    """In the launcher's namespace, so that a failing test leaves nothing on the host."""
    directory = str(tmp_path / "run")
    if tmpfs.is_tmpfs(str(tmp_path)):
        pytest.skip("the temporary directory is on tmpfs itself")
    assert launcher.call(tmpfs.ensure_tmpfs, directory, 0o711, 1 << 20).result()
    assert launcher.call(tmpfs.is_tmpfs, directory).result()
    assert launcher.call(lambda: Path(directory).stat().st_mode & 0o7777).result() == 0o711
    assert not launcher.call(tmpfs.ensure_tmpfs, directory).result()
    assert not tmpfs.is_tmpfs(directory)
    assert launcher.call(tmpfs.unmount, directory).result()
    assert not launcher.call(tmpfs.unmount, directory).result()
    assert not tmpfs.unmount(str(tmp_path / "absent"))
