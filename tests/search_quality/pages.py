"""Pages that every installation of the tests has: what installed packages and Python's own modules say of themselves."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

LONGEST = 8_000
"""Characters of a page: descriptions hold histories of changes that nobody searches."""


def write_pages(
    folder: Path, longest: int = LONGEST, only: Collection[str] | None = None
) -> list[str]:
    """Write every page (or some) as `<name>.md`; their names, `pkg:<package>` and `py:<module>`, as `named` makes them."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for name, text in (*_packages(), *_modules()):
        if only is not None and name not in only:
            continue
        (folder / f"{name.replace(':', '@')}.md").write_text(text[:longest])
        names.append(name)
    return sorted(names)


def named(file: str) -> str:
    """The page that a file holds."""
    return Path(file).stem.replace("@", ":")


def _packages() -> Iterator[tuple[str, str]]:
    seen = {"aion_dagster"}
    for package in importlib.metadata.distributions():
        name = package.metadata["Name"]
        text = package.metadata.get_payload() or package.metadata["Description"] or ""
        if name not in seen and len(text) > 800:
            seen.add(name)
            yield f"pkg:{name}", f"{package.metadata['Summary'] or ''}\n\n{text}"


def _modules() -> Iterator[tuple[str, str]]:
    for top in sorted(sys.stdlib_module_names):
        found = None if top.startswith("_") else _origin(top)
        if found is None:
            continue
        files = [(top, found)]
        if found.name == "__init__.py":
            files += [(f"{top}.{p.stem}", p) for p in sorted(found.parent.glob("[a-z]*.py"))]
        for name, file in files:
            text = _documentation(file)
            if len(text) > 400:
                yield f"py:{name}", text


def _origin(module: str) -> Path | None:
    if module in ("idlelib", "lib2to3", "test", "this", "antigravity"):
        return None
    spec = importlib.util.find_spec(module)
    origin = None if spec is None else spec.origin
    return Path(origin) if origin and origin.endswith(".py") else None


def _documentation(file: Path) -> str:
    """The docstring of a module, and the first paragraph of those of its functions and classes."""
    try:
        tree = ast.parse(file.read_text("utf-8"))
    except (SyntaxError, UnicodeDecodeError):
        return ""
    parts = [ast.get_docstring(tree) or ""]
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            first = (ast.get_docstring(node) or "").split("\n\n")[0]
            parts += [f"{node.name}: {first}"] if first else []
    return "\n".join(parts)
