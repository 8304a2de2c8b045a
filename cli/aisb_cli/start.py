"""The entry point of the installed command `aisb`: Ctrl-C during its imports ends it without a traceback.

`main` is that of `aisb_cli.main`, where the command itself begins.
"""

import sys

try:
    from aisb_cli.main import main
except KeyboardInterrupt:
    sys.stderr.write("interrupted\n")
    sys.exit(130)

__all__ = ["main"]
