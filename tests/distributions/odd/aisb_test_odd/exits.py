"""End the program while it imports."""

import sys

sys.exit("no licence found")
