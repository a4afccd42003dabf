"""Takes one job after another: how many primes are there below the number? Ends by SIGTERM after the job at hand.

The job at hand lies in a list of the worker's own. One that dies leaves it there; its sign of life expires, and
another worker puts the job back among those that wait. A job may so be done twice, and is never lost.
"""

import os
import signal
import socket
import threading
import time
from pathlib import Path

import redis

RESULTS = Path("/results")
ME = socket.gethostname()
store = redis.Redis(os.environ["REDIS"], decode_responses=True, socket_timeout=10)
ending = threading.Event()


def primes_below(number: int) -> int:
    return sum(all(one % divisor for divisor in range(2, int(one**0.5) + 1)) for one in range(2, number))


def do(job: str) -> None:
    identifier, number = job.split()
    unfinished = RESULTS / f".{identifier}-{ME}"
    unfinished.write_text(f"{primes_below(int(number))} primes below {number}, counted by {ME}")
    unfinished.rename(RESULTS / identifier)
    store.delete(f"taken:{ME}")


def live() -> None:
    """Give a sign of life each second, and put back what the dead had taken."""
    while True:
        try:
            store.set(f"alive:{ME}", "yes", ex=3)
            for taken in store.scan_iter("taken:*"):
                if not store.exists(taken.replace("taken", "alive", 1)):
                    store.lmove(taken, "waiting", "RIGHT", "RIGHT")
        except redis.RedisError as error:
            print("Redis is away:", error, flush=True)
        time.sleep(1)


def work() -> None:
    while not ending.is_set():
        try:
            for job in store.lrange(f"taken:{ME}", 0, -1) or filter(None, [take()]):
                do(job)
        except redis.RedisError as error:
            print("Redis is away:", error, flush=True)
            time.sleep(1)


def take() -> str | None:
    return store.blmove("waiting", f"taken:{ME}", 1, "RIGHT", "LEFT")


signal.signal(signal.SIGTERM, lambda *_: ending.set())
threading.Thread(target=live, daemon=True).start()
work()
