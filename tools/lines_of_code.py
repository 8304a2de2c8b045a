"""Count the lines of code of a package: docstrings, comments and blank lines are not counted."""
# ruff: noqa: INP001, T201 - a program of the repository, which prints

import ast
import io
import tokenize
from pathlib import Path

IGNORED = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING,
    tokenize.ENDMARKER,
}  # fmt: skip


def docstring_lines(tree: ast.Module) -> set[int]:
    """Return the lines of strings that stand alone as a statement."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            found |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return found


def lines_of_code(file: Path) -> int:
    """Count the lines of one module that hold code."""
    source = file.read_text("utf-8")
    used: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in IGNORED:
            used |= set(range(token.start[0], token.end[0] + 1))
    return len(used - docstring_lines(ast.parse(source)))


if __name__ == "__main__":
    import sys

    for folder in sys.argv[1:]:
        files = sorted(Path(folder).rglob("*.py"))
        for file in files:
            print(f"{lines_of_code(file):6} {file}")
        print(f"{sum(map(lines_of_code, files)):6} {folder}")
