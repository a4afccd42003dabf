"""Archives and compression that only tests need."""

import io
import sys
import tarfile
from collections.abc import Mapping

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def zstd_compress(data: bytes, *, window_log: int = 0) -> bytes:
    """A zstd frame with a checksum, as the program `zstd` makes; with a window of 2**`window_log` bytes, if given."""
    options: dict[int, int] = {zstd.CompressionParameter.checksum_flag: 1}
    if not window_log:
        return zstd.compress(data, options=options)
    compressor = zstd.ZstdCompressor(options=options | {zstd.CompressionParameter.window_log: window_log})
    return compressor.compress(data) + compressor.flush()


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """A tar with these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
