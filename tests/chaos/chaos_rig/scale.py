"""How much is done: a little in every test run, the figures of docs/reliability.md in `./dev chaos`."""

import os
import random

FULL = os.environ.get("SEAWAY_CHAOS", "") == "full"
SEED = int(os.environ.get("SEAWAY_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)


def scaled(full: int, short: int) -> int:
    """The full number, or the short one."""
    return full if FULL else short


def dice(test: str) -> random.Random:
    """Chance for one test, the same for the same seed."""
    return random.Random(f"{SEED}/{test}")
