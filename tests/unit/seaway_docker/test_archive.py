import base64
import json
import stat

import pytest

from seaway_docker.archive import PathStat, encode_path_stat, go_file_mode


def test_header_as_dockerd_sends_it() -> None:
    value = encode_path_stat(PathStat("bin", 4096, 2147484141, "2026-11-23T23:12:02Z"))
    assert json.loads(base64.b64decode(value)) == {
        "name": "bin",
        "size": 4096,
        "mode": 2147484141,
        "mtime": "2026-11-23T23:12:02Z",
        "linkTarget": "",
    }


@pytest.mark.parametrize(
    ("posix", "go"),
    [
        (stat.S_IFREG | 0o644, 0o644),
        (stat.S_IFDIR | 0o755, 2147484141),
        (stat.S_IFLNK | 0o777, 1 << 27 | 0o777),
        (stat.S_IFDIR | 0o1777, 1 << 31 | 1 << 20 | 0o777),
        (stat.S_IFREG | 0o4755, 1 << 23 | 0o755),
        (stat.S_IFCHR | 0o600, 1 << 26 | 1 << 21 | 0o600),
    ],
)
def test_go_modes(posix: int, go: int) -> None:
    assert go_file_mode(posix) == go
