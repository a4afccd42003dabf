"""The program of the supervisor's own process: run by its path, in Python's isolated mode, so that it finds its parts
by itself.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[3]))
    from seaway_agent.execs.supervisor.holder import main

    main()
