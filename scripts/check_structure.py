"""Check the structure of the source code: `python scripts/check_structure.py`, part of `make check`.

Function bodies have at most 35 lines, file names are unique, and private names of the libraries below are used rarely.
"""

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src"
MAX_LINES = 35  # of a function, without its signature and docstring
MAX_PRIVATE_NAMES = 20
LIBRARIES = ("lightning", "torch", "hydra", "optuna")
PUBLIC = ("_target_", "_replace", "_asdict", "_exit")  # a key of Hydra, and documented names of Python


def functions(tree: ast.AST) -> Iterator[tuple[ast.FunctionDef, int]]:
    """Yield all functions with the number of lines in their body."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            yield node, (body[-1].end_lineno or 0) - body[0].lineno + 1


def private_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and text of each private name that is imported, read or overridden."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(LIBRARIES):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            yield from ((node.lineno, name) for name in names if is_private(name))
        elif isinstance(node, ast.Attribute) and is_private(node.attr):
            yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.FunctionDef) and is_private(node.name):
            yield node.lineno, f"def {node.name}"


def is_private(name: str) -> bool:
    """Whether a name begins with an underscore and is neither special nor documented."""
    return name.startswith("_") and not name.endswith("__") and name not in PUBLIC


def main() -> None:
    """Print all problems; exit with 1 if there are any."""
    files = sorted(SOURCE.rglob("*.py"))
    problems, private = [], []
    names = Counter(file.name for file in files if file.name != "__init__.py")
    problems += [f"{name}: {count} files have this name" for name, count in names.items() if count > 1]
    for file in files:
        tree, name = ast.parse(file.read_text(encoding="utf-8")), file.relative_to(SOURCE)
        lengths = ((node, lines) for node, lines in functions(tree) if lines > MAX_LINES)
        problems += [f"{name}:{node.lineno}: {node.name} has {lines} lines" for node, lines in lengths]
        private += [f"{name}:{line}: {text}" for line, text in private_names(tree)]
    if len(private) > MAX_PRIVATE_NAMES:
        problems += [f"{len(private)} private names, at most {MAX_PRIVATE_NAMES} are allowed:", *private]
    print(*problems, sep="\n")
    print(f"{len(files)} files, {len(private)} private names, {len(problems)} problems")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
