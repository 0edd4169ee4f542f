"""python -m ttrpg_mcp: the same as the command ttrpg-mcp."""

import sys

from ttrpg_mcp.cli import main

if __name__ == "__main__":
    sys.exit(main())
