"""Conditions on the values of runs and jobs, such as `model=cnn` or `optimizer.lr < 0.1 and seed in [0, 1]`."""

import ast
import operator
import re
from collections.abc import Callable, Collection, Iterator
from fnmatch import fnmatchcase
from typing import Any

from trainyard.config.composition import parse_value
from trainyard.io.errors import config_error

GRAMMAR = (
    "KEY=VALUE, or with !=, <, <=, > or >=, where * in a VALUE matches anything; or an expression of keys, numbers, "
    "lists and strings in quotes with == != < <= > >= in, not in, and, or, not"
)
SIMPLE = re.compile(r"\s*([\w./+-]+)\s*(==?|!=|<=?|>=?)\s*(\[[^\]=<>()\"']*\]|[^\s=<>!()\"']+)\s*")
COMPARISONS = {"=": ast.Eq, "==": ast.Eq, "!=": ast.NotEq, "<": ast.Lt, "<=": ast.LtE, ">": ast.Gt, ">=": ast.GtE}
CONSTANTS = {"true": True, "false": False, "null": None}


class Condition:
    """A condition of `runs list` or `sweep.where`, `KEY=VALUE` or a Python expression; nothing is executed as code.

    Args:
        text: the condition.
        option: of the command line, for errors.
        known: keys that a VALUE may refer to instead of being a string.

    Attributes:
        keys: that the condition refers to.
    """

    def __init__(self, text: str, option: str, known: Collection[str] = ()) -> None:
        simple = SIMPLE.fullmatch(text)
        self.tree: ast.expr
        if simple:
            key, sign, right = simple.groups()
            value = parse_value(right)
            if sign[0] in "<>" and not is_number(value) and not right[0].isdigit() and right not in known:  # nor a date
                raise config_error(option, text, f"{right} is not a number", GRAMMAR)
            operand = ast.Name(right) if right in known else ast.Constant(value)
            self.tree = ast.Compare(ast.Name(key), [COMPARISONS[sign]()], [operand])
        else:
            try:
                self.tree = ast.parse(text, mode="eval").body
                supported = all(map(is_supported, ast.walk(self.tree)))
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                raise config_error(option, text, "cannot be read", GRAMMAR) from error
            if not supported:
                raise config_error(option, text, "unsupported expression", GRAMMAR)
        self.keys = set(keys_in(self.tree))

    def evaluate(self, value_of: Callable[[str], Any]) -> bool:
        """Return whether the condition is true, given a function of keys; raise a TypeError for invalid comparisons."""
        return bool(evaluate(self.tree, value_of))


def is_supported(node: ast.AST) -> bool:
    """Return whether a condition may contain a node; a division only as part of a key such as `val/acc`."""
    return bool(key_of(node)) if isinstance(node, ast.BinOp) else type(node) in SUPPORTED


def key_of(node: ast.AST) -> str:
    """Return the key that a node stands for, such as `optimizer.lr` or `val/acc`; an empty string for other nodes."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=parent, attr=name) if before := key_of(parent):
            return f"{before}.{name}"
        case ast.BinOp(left=left, op=ast.Div(), right=right) if key_of(left) and key_of(right):
            return f"{key_of(left)}/{key_of(right)}"
    return ""


def keys_in(node: ast.AST) -> Iterator[str]:
    """Yield the keys in an expression."""
    if key := key_of(node):
        yield from () if key in CONSTANTS else (key,)
    else:
        for child in ast.iter_child_nodes(node):
            yield from keys_in(child)


def evaluate(node: ast.AST, value_of: Callable[[str], Any]) -> Any:
    """Return the value of an expression."""
    if key := key_of(node):
        return CONSTANTS[key] if key in CONSTANTS else value_of(key)
    match node:
        case ast.Constant(value=value):
            return value
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [evaluate(item, value_of) for item in items]
        case ast.BoolOp(op=op, values=parts):
            return (all if isinstance(op, ast.And) else any)(evaluate(part, value_of) for part in parts)
        case ast.UnaryOp(op=op, operand=operand):
            return OPERATORS[type(op)](evaluate(operand, value_of))
        case ast.Compare(left=left, ops=ops, comparators=others):
            sides = [evaluate(side, value_of) for side in (left, *others)]
            return all(OPERATORS[type(op)](*pair) for op, *pair in zip(ops, sides, sides[1:], strict=False))
    raise TypeError(f"{ast.unparse(node)} has no value")


def equal(left: Any, right: Any) -> bool:
    """Return whether two values are equal; the right one may be a string with wildcards."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if any(isinstance(value, bool | None) for value in (left, right)):
        return left is right
    if isinstance(right, str) and ("*" in right or "?" in right):
        return fnmatchcase(str(left), right.replace("[", "[[]"))
    return bool(left == right) or (isinstance(left, str) != isinstance(right, str) and str(left) == str(right))


def contains(item: Any, container: Any) -> bool:
    """Return whether a list contains a value, or a string contains another."""
    return item in container if isinstance(container, str) else any(equal(item, other) for other in container)


def ordered(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return an operator for numbers and for two strings.

    The left string is cut to the length of the right one, so that `<= 2026-01-02` includes that day.
    """

    def apply(*values: Any) -> Any:
        if len(values) == 2 and all(isinstance(value, str) for value in values):
            return function(values[0][: len(values[1])], values[1])
        if invalid := [value for value in values if not is_number(value)]:
            raise TypeError(f"{invalid[0]} is not a number")
        return function(*values)

    return apply


def is_number(value: Any) -> bool:
    """Return whether a value is an int or a float; a bool is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Eq: equal,
    ast.NotEq: lambda left, right: not equal(left, right),
    ast.In: contains,
    ast.NotIn: lambda item, container: not contains(item, container),
    ast.Not: operator.not_,
    ast.Lt: ordered(operator.lt),
    ast.LtE: ordered(operator.le),
    ast.Gt: ordered(operator.gt),
    ast.GtE: ordered(operator.ge),
    ast.USub: ordered(operator.neg),
}
LEAVES = (ast.Constant, ast.Name, ast.Attribute, ast.Load, ast.List, ast.Tuple)
SUPPORTED = {*OPERATORS, *LEAVES, ast.Div, ast.Compare, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp}
