"""The text that a terminal shows after a program has written to it: lines, carriage returns, and lines drawn over."""

import os
import re

_CONTROL = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b[78=>]|\r|\n|[^\x1b\r\n]+")


def read_to_end(terminal: int) -> bytes:
    """Return all that a program writes to the other end of a pseudo-terminal, and close this end."""
    seen = b""
    while True:
        try:
            block = os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
        if not block:
            break
        seen += block
    os.close(terminal)
    return seen


def screen_lines(written: str, columns: int) -> list[str]:
    """Return all lines, also those that have scrolled away; a longer line goes on in the next one, as on a terminal."""
    lines: list[list[str]] = [[]]
    row = column = 0
    for match in _CONTROL.finditer(written):
        text, number, letter = match[0], match[1], match[2]
        if text == "\r":
            column = 0
        elif text == "\n":
            row += 1
        elif letter == "A":
            row = max(0, row - int(number or 1))
        elif letter == "K":
            lines[row] = lines[row][:column] if number in {"", "0"} else []
        elif letter is None and not text.startswith("\x1b"):
            for character in text:
                if column == columns:
                    row, column = row + 1, 0
                while len(lines) <= row:
                    lines.append([])
                lines[row] += [" "] * (column + 1 - len(lines[row]))
                lines[row][column] = character
                column += 1
        while len(lines) <= row:
            lines.append([])
    return ["".join(line).rstrip() for line in lines]
