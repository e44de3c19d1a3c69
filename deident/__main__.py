"""`python -m deident`."""

import sys

from deident.cli import main

if __name__ == "__main__":
    sys.exit(main())
