"""The file that the keeper's own process is run as: by its path, in Python's isolated mode, so that it finds its parts
by itself.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    from seaway_agent.keeper.holder import main

    main()
