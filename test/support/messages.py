"""Prints the string literals of Python files, without docstrings: a JSON object of lists by path, in their order."""

import ast
import json
import sys


def text_of(node):
    # type: (ast.AST) -> str | None
    """A literal's text, with what is inserted in braces."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        parts = [text_of(part) if isinstance(part, ast.Constant) else "{%s}" % inserted(part) for part in node.values]
        return "".join(part or "" for part in parts)
    return None


def inserted(node):
    # type: (ast.AST) -> str
    """A name with its attributes; ast.unparse writes differently in each version of Python."""
    node = getattr(node, "value", node)
    if isinstance(node, ast.Name):
        return node.id
    return "%s.%s" % (inserted_name(node.value), node.attr) if isinstance(node, ast.Attribute) else "..."


def inserted_name(node):
    # type: (ast.AST) -> str
    return node.id if isinstance(node, ast.Name) else "..."


def collect(node, found):
    # type: (ast.AST, list) -> None
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    if isinstance(node, ast.Call) and ast.dump(node.func).split("'")[-2] in ("namedtuple", "compile"):
        return  # names of fields, a pattern
    text = text_of(node)
    if text is not None:
        found.append(text)
        return
    for child in ast.iter_child_nodes(node):
        collect(child, found)


def main():
    # type: () -> None
    texts = {}
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            found = []  # type: list
            collect(ast.parse(file.read()), found)
            texts[path] = found
    json.dump(texts, sys.stdout)


main()
