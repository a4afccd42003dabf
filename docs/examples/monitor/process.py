"""Offers the memory of each process that it sees to Prometheus."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def memory() -> dict[str, int]:
    """The resident bytes of the processes of each name."""
    found: dict[str, int] = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        except OSError:
            continue  # it has ended meanwhile
        if "VmRSS" in fields:
            found[fields["Name"]] = found.get(fields["Name"], 0) + int(fields["VmRSS"].split()[0]) * 1024
    return found


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        lines = ["# TYPE process_memory_bytes gauge"]
        lines += [f'process_memory_bytes{{name="{name}"}} {count}' for name, count in sorted(memory().items())]
        body = "".join(f"{line}\n" for line in lines).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


ThreadingHTTPServer(("127.0.0.1", 8000), Handler).serve_forever()
