"""Sells something several times a second, and offers how often to Prometheus."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sold = 0


def sell() -> None:
    global sold
    while True:
        time.sleep(0.1)
        sold += 1


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"# TYPE shop_sold_total counter\nshop_sold_total {sold}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


threading.Thread(target=sell, daemon=True).start()
ThreadingHTTPServer(("", 8000), Handler).serve_forever()
