"""A git repository on the web that clients may fetch in parts (gitprotocol-http(5), the smart form)."""

import contextlib
import gzip
import http.server
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


class _Smart(http.server.BaseHTTPRequestHandler):
    repository: Path

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """What there is to fetch."""
        refs = self._upload_pack("--advertise-refs")
        self._answer("advertisement", b"001e# service=git-upload-pack\n0000" + refs)

    def do_POST(self) -> None:
        """What was asked for."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self._answer("result", self._upload_pack(body=body))

    def _upload_pack(self, *words: str, body: bytes = b"") -> bytes:
        argv = ["git", "upload-pack", "--stateless-rpc", *words, str(self.repository)]
        return subprocess.run(argv, input=body, stdout=subprocess.PIPE, check=False).stdout

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", f"application/x-git-upload-pack-{kind}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def git_site(place: Path, files: Mapping[str, str]) -> Iterator[str]:
    """The address of a repository with these files on its branch `main`."""
    place.mkdir()
    for name, text in files.items():
        (place / name).write_text(text)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(place)]
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True)
    handler: Any = type("_Here", (_Smart,), {"repository": place})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/r.git"
        server.shutdown()
