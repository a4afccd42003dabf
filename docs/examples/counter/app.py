"""Counts requests in Redis, and says which container has answered."""

import os
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import redis

store = redis.Redis(os.environ["REDIS"], socket_timeout=5)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        try:
            if self.path == "/health":
                store.ping()
                self.answer(200, "well")
            else:
                self.answer(200, f"{os.environ['GREETING']}: {store.incr('visits')}, by {socket.gethostname()}")
        except redis.RedisError as error:
            self.answer(503, f"Redis is away: {error}")

    def answer(self, status: int, text: str) -> None:
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


ThreadingHTTPServer(("", 8000), Handler).serve_forever()
