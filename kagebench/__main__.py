"""``python -m kagebench``: the command line."""

import sys

from kagebench.cli import main

sys.exit(main())
