import json

import pytest

from seaway_docker import streams


def test_lines_end_as_dockers_do() -> None:
    assert streams.status_line("Pulling from library/busybox", id="latest") == (
        b'{"status":"Pulling from library/busybox","id":"latest"}\r\n'
    )
    assert streams.status_line("Digest: sha256:1") == b'{"status":"Digest: sha256:1"}\r\n'
    assert streams.stream_line("Loaded image: busybox:latest\n") == b'{"stream":"Loaded image: busybox:latest\\n"}\r\n'
    assert streams.progress_line("Pull complete", "abc") == (
        b'{"status":"Pull complete","progressDetail":{},"id":"abc"}\r\n'
    )


def test_progress() -> None:
    line = json.loads(streams.progress_line("Downloading", "abc", 1_000_000, 4_000_000))
    assert line["progressDetail"] == {"current": 1_000_000, "total": 4_000_000}
    assert line["progress"] == "[" + "=" * 12 + ">" + " " * 38 + "]      1MB/4MB"


@pytest.mark.parametrize(("current", "total", "end"), [(5, 0, "      5B"), (9, 5, "      9B"), (5, 5, "      5B/5B")])
def test_progress_beyond_or_without_total(current: int, total: int, end: str) -> None:
    assert streams.progress_bar(current, total).endswith(end)


def test_error_line() -> None:
    assert json.loads(streams.error_line("boom")) == {"errorDetail": {"message": "boom"}, "error": "boom"}
    assert json.loads(streams.error_line("boom", 3))["errorDetail"] == {"code": 3, "message": "boom"}


@pytest.mark.parametrize(("size", "text"), [(0, "0B"), (999, "999B"), (1000, "1kB"), (4_261_550, "4.262MB")])
def test_human_size(size: int, text: str) -> None:
    assert streams.human_size(size) == text


def test_media_types() -> None:
    assert streams.stream_media_type(tty=True).endswith("raw-stream")
    assert streams.stream_media_type(tty=False).endswith("multiplexed-stream")
