"""Takes jobs: POST / with a number gives a job's id, GET /ID gives its result, GET / says how many wait."""

import os
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import redis

RESULTS = Path("/results")
store = redis.Redis(os.environ["REDIS"], socket_timeout=5)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        number = int(self.rfile.read(int(self.headers["Content-Length"])))
        job = uuid.uuid4().hex
        self.answer(lambda: (store.lpush("waiting", f"{job} {number}"), (202, job))[1])

    def do_GET(self) -> None:
        job = self.path.strip("/")
        self.answer((lambda: self.result(job)) if job else (lambda: (200, f"{store.llen('waiting')} wait")))

    def result(self, job: str) -> tuple[int, str]:
        path = RESULTS / Path(job).name
        return (200, path.read_text()) if path.is_file() else (404, "no result yet")

    def answer(self, work) -> None:
        try:
            status, text = work()
        except redis.RedisError as error:
            status, text = 503, f"Redis is away: {error}"
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


ThreadingHTTPServer(("", 8000), Handler).serve_forever()
