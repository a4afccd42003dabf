"""`seaway doctor`: what it says of the builder."""

import json
import socket
import threading
from pathlib import Path

import pytest

from seaway_cli.doctor_builder import builder, finding


def test_a_builder_of_the_suites_own_is_shown_as_it_is() -> None:
    text = "container seaway-builder (moby/buildkit:v1, running on n1)"
    found = finding(text)
    assert (found.what, found.level, found.text) == ("buildkit", "ok", text)
    assert finding("tcp://1.2.3.4:5").level == "ok"


def test_no_builder_and_one_that_does_not_answer(tmp_path: Path) -> None:
    none = finding("none")
    assert none.level == "note" and "DOCKER_BUILDKIT=0" in none.todo
    away = finding(f"unix://{tmp_path}/b")
    assert away.level == "note" and "does not answer (No such file or directory)" in away.text
    with socket.socket(socket.AF_UNIX) as there:
        there.bind(str(tmp_path / "b"))
        there.listen()
        assert finding(f"unix://{tmp_path}/b").level == "ok"


@pytest.mark.parametrize("body", [{"DriverStatus": [["BuildKit", "none"]]}, {"DriverStatus": []}, {}, [], "no JSON"])
def test_the_api_is_asked(tmp_path: Path, body: object) -> None:
    path = tmp_path / "api.sock"
    text = body if isinstance(body, str) else json.dumps(body)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        answering = threading.Thread(target=_answer, args=(listener, text))
        answering.start()
        found = builder(f"unix://{path}")
        answering.join()
    assert (found is not None) == ("BuildKit" in text)


def _answer(listener: socket.socket, body: str) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        connection.sendall((head + body).encode())


def test_an_api_that_is_silent_is_no_matter_of_the_builders(tmp_path: Path) -> None:
    assert builder(f"unix://{tmp_path}/nothing") is None
    assert builder("tcp://127.0.0.1:1") is None
