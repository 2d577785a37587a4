"""Which combinations of values are jobs: a small expression over their keys, read without running it as code."""

import ast
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from trainyard.errors import did_you_mean, listing, reject

KEY = "sweep.where"
GRAMMAR = """keys, texts in quotes, numbers and lists with == != < <= > >= in, not in, and, or, not, + - * /"""
WORDS = {"true": True, "false": False, "null": None}
OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda one, many: one in many,
    ast.NotIn: lambda one, many: one not in many,
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Not: operator.not_,
    ast.USub: operator.neg,
}


class Condition:
    """A condition on the values of a job, such as `not (model == "mlp" and optimizer.lr > 0.1)`.

    Args:
        text: the expression, in the grammar of Python.
        keys: that it may name.

    Raises:
        ConfigError: it is no such expression, or names a key that no job has.
    """

    def __init__(self, text: str, keys: Mapping[str, object]) -> None:
        self.text = text
        known = {plain(key) for key in keys}
        try:
            self.tree = ast.parse(text, mode="eval").body
            names = {found for node in ast.walk(self.tree) if (found := name_of(node)) and found not in WORDS}
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise reject(KEY, text, "cannot be read", GRAMMAR) from error
        if not names:
            raise reject(KEY, text, "names no key", f"a condition on {listing(sorted(known))}")
        unknown = sorted(name for name in names if not any(f"{key}.".startswith(f"{name}.") for key in known))
        if unknown:
            problem = f"no job has a key {unknown[0]}{did_you_mean(unknown[0], known)}"
            raise reject(KEY, text, problem, f"{listing(sorted(known))}; texts stand in quotes")

    def holds(self, values: Mapping[str, str]) -> bool:
        """Whether it is true of a job's values, given as they are typed."""
        found = {plain(key): typed(value) for key, value in values.items()}
        try:
            return bool(evaluate(self.tree, found))
        except (TypeError, ArithmeticError, KeyError) as error:
            of = " ".join(f"{key}={value}" for key, value in values.items())
            raise reject(KEY, self.text, f"has no answer for {of} ({error})", GRAMMAR) from error
        except NotImplementedError as error:
            raise reject(KEY, self.text, str(error), GRAMMAR) from error


def evaluate(node: ast.AST, values: Mapping[str, Any]) -> Any:
    """Return what an expression is worth; nothing is called and nothing looked up but the values."""
    match node:
        case ast.Constant(value=value) if isinstance(value, str | int | float | None):
            return value
        case ast.Name() | ast.Attribute() if name := name_of(node):
            return WORDS[name] if name in WORDS else values[name]
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [evaluate(item, values) for item in items]
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(evaluate(part, values) for part in parts)
        case ast.BoolOp(op=ast.Or(), values=parts):
            return any(evaluate(part, values) for part in parts)
        case ast.UnaryOp(op=act, operand=operand) if type(act) in OPERATORS:
            return OPERATORS[type(act)](evaluate(operand, values))
        case ast.BinOp(left=left, op=act, right=right) if type(act) in OPERATORS:
            return OPERATORS[type(act)](number(evaluate(left, values)), number(evaluate(right, values)))
        case ast.Compare(left=left, ops=acts, comparators=others):
            sides = [evaluate(side, values) for side in (left, *others)]
            if all(type(act) in OPERATORS for act in acts):
                pairs = zip(acts, sides, sides[1:], strict=False)
                return all(OPERATORS[type(act)](one, other) for act, one, other in pairs)
    raise NotImplementedError(f"{ast.unparse(node)} has no place in it")


def number(value: Any) -> int | float:
    """Return what can be calculated with; a text times a number may fill the memory."""
    if not isinstance(value, int | float):
        raise TypeError(f"{value} is no number")
    return value


def name_of(node: ast.AST) -> str:
    """Return the dotted key that a node is, or nothing."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := name_of(node.value)):
        return f"{before}.{node.attr}"
    return ""


def plain(key: str) -> str:
    """Return a key without the signs that add it to a config or take it out."""
    return key.lstrip("+~")


@lru_cache(maxsize=10_000)
def typed(text: str) -> Any:
    """Return the value that Hydra makes of a typed one."""
    return OverridesParser.create().parse_override(f"key={text}").value()
