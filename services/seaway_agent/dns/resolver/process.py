"""The program of the resolver's process. It is run by its path in Python's isolated mode, so it sets its own path."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[3]))
    from seaway_agent.dns.resolver.server import main

    main()
