"""What only targets of their own run (`make page-check`, `bench`, …) finds what it imports here."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("analyses", "benchmarks", "tests")
FILES = [file for folder in OURS for file in sorted((ROOT / folder).rglob("*.py"))]


def defined(module: Path) -> set[str]:
    """Return what another file may import from one: names at its top, and modules of a package."""
    if module.is_dir():
        beside = {file.stem for file in module.iterdir() if file.suffix == ".py" or file.is_dir()}
        start = module / "__init__.py"
        return beside | (defined(start) if start.exists() else set())
    names: set[str] = set()
    left: list[ast.AST] = list(ast.parse(module.read_text()).body)
    while left:
        node = left.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)  # what is in it is its own
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        else:
            left.extend(ast.iter_child_nodes(node))
    return names


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_names_imported_from_our_own_files_are_there(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.ImportFrom):
            continue
        parts = (node.module or "").split(".") if node.module else []
        if node.level:
            parts = [*file.relative_to(ROOT).parts[: -node.level], *parts]
        if not parts or parts[0] not in OURS:
            continue
        folder = ROOT.joinpath(*parts)
        module = folder if folder.is_dir() else folder.with_suffix(".py")
        assert module.exists(), f"line {node.lineno}: {module} is not there"
        missing = {alias.name for alias in node.names} - defined(module)
        assert not missing, f"line {node.lineno}: {module} has no {missing}"
