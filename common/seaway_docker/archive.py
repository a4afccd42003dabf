"""The `X-Docker-Container-Path-Stat` header of the archive endpoints: base64 of JSON, with Go's file mode bits."""

import base64
import stat
from dataclasses import dataclass

import orjson

PATH_STAT_HEADER = "X-Docker-Container-Path-Stat"

# Go's os.FileMode: the type and the set-id bits stand at the top, not where POSIX has them.
_TYPE_BITS = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
}
_SPECIAL_BITS = {stat.S_ISUID: 1 << 23, stat.S_ISGID: 1 << 22, stat.S_ISVTX: 1 << 20}


@dataclass(frozen=True, slots=True)
class PathStat:
    """`size` in bytes, `mode` in Go's bits (see `go_file_mode`), `mtime` as RFC 3339."""

    name: str
    size: int
    mode: int
    mtime: str
    link_target: str = ""


def go_file_mode(st_mode: int) -> int:
    """POSIX `st_mode` -> Go's os.FileMode."""
    mode = stat.S_IMODE(st_mode) & 0o777
    for posix, go in _SPECIAL_BITS.items():
        if st_mode & posix:
            mode |= go
    return mode | _TYPE_BITS.get(stat.S_IFMT(st_mode), 0)


def encode_path_stat(path_stat: PathStat) -> str:
    """The value of the header."""
    fields = {
        "name": path_stat.name,
        "size": path_stat.size,
        "mode": path_stat.mode,
        "mtime": path_stat.mtime,
        "linkTarget": path_stat.link_target,
    }
    return base64.b64encode(orjson.dumps(fields)).decode("ascii")
