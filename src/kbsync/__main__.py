"""`python -m kbsync` is the command line. Imports the CLI only."""

import sys

from kbsync.cli.main import run

sys.exit(run())
