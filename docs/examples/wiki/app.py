"""A wiki: PUT /NAME writes a page, GET /NAME shows its last text, GET / lists all pages."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg2

LIST = "SELECT name FROM pages GROUP BY name ORDER BY name"
READ = "SELECT text FROM pages WHERE name = %s ORDER BY id DESC LIMIT 1"
WRITE = "INSERT INTO pages (name, text) VALUES (%s, %s)"


def ask(command: str, *values: object) -> list[tuple[str, ...]]:
    """Run one command in a connection of its own; the rows that it gives."""
    password = Path("/run/secrets/password").read_text().strip()
    connection = psycopg2.connect(host="database", dbname="wiki", user="postgres", password=password, connect_timeout=5)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(command, values)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def show(name: str) -> tuple[int, str]:
    if not name:
        return 200, "\n".join(row[0] for row in ask(LIST))
    found = ask(READ, name)
    return (200, found[0][0]) if found else (404, f"there is no page {name} yet")


def write(name: str, text: str) -> tuple[int, str]:
    ask(WRITE, name, text)
    return 201, "written"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.answer(lambda: show(self.path.strip("/")))

    def do_PUT(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.answer(lambda: write(self.path.strip("/"), text))

    def answer(self, work) -> None:
        try:
            status, text = work()
        except psycopg2.Error as error:
            status, text = 503, f"the database does not answer: {error}"
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


ThreadingHTTPServer(("", 8000), Handler).serve_forever()
