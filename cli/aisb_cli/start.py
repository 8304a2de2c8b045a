"""The installed command `aisb`: import the command, so that Ctrl-C meanwhile ends it without a traceback.

The import takes a quarter of a second and is no frame of a run: `main` is that of `aisb_cli.main`.
"""

import sys

try:
    from aisb_cli.main import main
except KeyboardInterrupt:
    sys.stderr.write("interrupted\n")
    sys.exit(130)

__all__ = ["main"]
