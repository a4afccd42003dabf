"""Keeps notes in PostgreSQL: GET / lists them; POST / adds one, for who has the token."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg2


def secret(name: str) -> str:
    return Path("/run/secrets", name).read_text().strip()


def ask(command: str, *values: object) -> list[tuple[str, ...]]:
    """Run one command in a connection of its own; the rows that it gives."""
    connection = psycopg2.connect(os.environ["DATABASE"], password=secret("database_password"), connect_timeout=5)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(command, values)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.answer(*self.reply(list_notes))

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.headers["Authorization"] == f"Bearer {secret('token')}":
            self.answer(*self.reply(lambda: add_note(text)))
        else:
            self.answer(403, "the token is missing or wrong")

    def reply(self, work) -> tuple[int, str]:
        try:
            return 200, work()
        except psycopg2.Error as error:
            return 503, f"the database does not answer: {error}"

    def answer(self, status: int, text: str) -> None:
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def list_notes() -> str:
    return "\n".join([os.environ["TITLE"], *(row[0] for row in ask("SELECT text FROM notes ORDER BY id"))])


def add_note(text: str) -> str:
    ask("INSERT INTO notes (text) VALUES (%s)", text)
    return "added"


ask("CREATE TABLE IF NOT EXISTS notes (id serial PRIMARY KEY, text text NOT NULL)")
ThreadingHTTPServer(("", 8000), Handler).serve_forever()
