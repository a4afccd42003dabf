"""Counts the events of an engine's containers, from its socket, and offers the counts to Prometheus.

An engine that is away for a moment is asked for what happened meanwhile.
"""

import http.client
import json
import socket
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

seen: Counter[str] = Counter()
connected = False


class Engine(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/var/run/docker.sock")


def listen() -> None:
    global connected
    since = f"{time.time():.9f}"
    while True:
        try:
            engine = Engine("engine")
            engine.request("GET", f"/events?since={since}&filters={quote(json.dumps({'type': ['container']}))}")
            with engine.getresponse() as events:
                connected = True
                while line := events.readline():
                    event = json.loads(line)
                    seen[event["Action"].partition(":")[0]] += 1
                    since = f"{event['timeNano'] // 10**9}.{event['timeNano'] % 10**9 + 1:09}"
        except (OSError, http.client.HTTPException, ValueError) as error:
            print("The engine is away:", error, flush=True)
        connected = False
        time.sleep(0.2)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        lines = ["# TYPE engine_connected gauge", f"engine_connected {int(connected)}"]
        lines += ["# TYPE engine_events_total counter"]
        lines += [f'engine_events_total{{action="{action}"}} {count}' for action, count in sorted(seen.items())]
        body = "".join(f"{line}\n" for line in lines).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


threading.Thread(target=listen, daemon=True).start()
ThreadingHTTPServer(("", 8000), Handler).serve_forever()
