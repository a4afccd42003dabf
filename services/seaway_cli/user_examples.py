"""What a new user types: examples in several languages, and a context of the nats command. Pure."""

import json
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

PYTHON: Final = """\
import asyncio, nats
async def main():
    nc = await nats.connect($url, nkeys_seed=$key$ca)
    subscription = await nc.jetstream().pull_subscribe($subject, durable="mine")
    while True:
        try:
            for message in await subscription.fetch(100, timeout=5):
                print(message.subject)
                await message.ack()
        except nats.errors.TimeoutError:
            pass
asyncio.run(main())
"""
GO: Final = """\
package main

import (
	"fmt"
	"log"

	"github.com/nats-io/nats.go"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	login := must(nats.NkeyOptionFromSeed($key))
	nc := must(nats.Connect($url, login$ca))
	sub := must(must(nc.JetStream()).PullSubscribe($subject, "mine"))
	for {
		messages, err := sub.Fetch(100)
		if err != nil && err != nats.ErrTimeout {
			log.Fatal(err)
		}
		for _, message := range messages {
			fmt.Println(message.Subject)
			message.Ack()
		}
	}
}
"""
JAVASCRIPT: Final = """\
const { connect, nkeyAuthenticator } = require("nats");
const { readFileSync } = require("fs");
(async () => {
  const seed = new TextEncoder().encode(readFileSync($key, "utf8").trim());
  const nc = await connect({ servers: $url, authenticator: nkeyAuthenticator(seed)$ca });
  const manager = await nc.jetstreamManager();
  const wanted = { durable_name: "mine", filter_subject: $subject, ack_policy: "explicit" };
  await manager.consumers.add("SEAWAY_EVENTS", wanted);
  const consumer = await nc.jetstream().consumers.get("SEAWAY_EVENTS", "mine");
  for await (const message of await consumer.consume()) {
    console.log(message.subject);
    message.ack();
  }
})();
"""
_CA: Final = {
    PYTHON: ", tls=ssl.create_default_context(cafile=$file)",
    GO: ", nats.RootCAs($file)",
    JAVASCRIPT: ", tls: { caFile: $file }",
}


@dataclass(frozen=True)
class Access:
    """Where a user logs in, by which file, and one subject that it may read."""

    url: str
    key: Path
    subject: str
    ca: Path | None = None

    def example(self, program: str) -> str:
        """One of the programs above, for this user."""
        words = {"url": self.url, "key": str(self.key), "subject": self.subject}
        ca = Template(_CA[program]).substitute(file=json.dumps(str(self.ca))) if self.ca else ""
        first = "import ssl\n" if self.ca and program == PYTHON else ""
        return first + Template(program).substitute({name: json.dumps(text) for name, text in words.items()}, ca=ca)

    def context(self, name: str) -> str:
        """The content of a context file of the nats command."""
        fields = {"description": f"Events of Seaway, as the user {name}", "url": self.url, "nkey": str(self.key)}
        return json.dumps(fields | ({"ca": str(self.ca)} if self.ca else {}), indent=2) + "\n"

    def text(self, name: str, context: Path) -> str:
        """All of it, for people."""
        parts = [
            f"The key is in {self.key}, which only you can read: there is no other copy.",
            f"The nats command:\n  cp {context} ~/.config/nats/context/\n"
            f"  nats --context {name} sub '{self.subject}'\n"
            f"  nats --context {name} consumer add SEAWAY_EVENTS mine --pull --defaults\n"
            f"  nats --context {name} consumer next SEAWAY_EVENTS mine --count 100",
        ]
        named = {"Python (nats-py[nkeys])": PYTHON, "Go (nats.go)": GO, "JavaScript (nats)": JAVASCRIPT}
        parts += [f"{language}:\n{_indented(self.example(program))}" for language, program in named.items()]
        return "\n\n".join(parts)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.rstrip().splitlines())
