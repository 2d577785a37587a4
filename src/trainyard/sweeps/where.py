"""The condition `sweep.where`, which leaves combinations of values out."""

from collections.abc import Mapping

from trainyard.config.condition import GRAMMAR, Condition, parse_value
from trainyard.io.errors import config_error, did_you_mean, join_limited

OPTION = "sweep.where"


class Where:
    """A condition on the values of a job, such as `not (model == "mlp" and optimizer.lr > 0.1)`.

    Args:
        text: see `trainyard.config.condition.Condition`.
        keys: that jobs have.

    Raises:
        ConfigError: it is not a condition, or refers to a key that no job has.
    """

    def __init__(self, text: str, keys: Mapping[str, object]) -> None:
        self.text = text
        known = {key.lstrip("+~") for key in keys}
        self.condition = Condition(text, OPTION, known)
        names = [part for key in self.condition.keys for part in ([key] if key in known else key.split("/"))]
        if not names:
            raise config_error(OPTION, text, "refers to no key", f"a condition on {join_limited(sorted(known))}")
        if unknown := sorted({*names} - known):
            problem = f"no job has a key {unknown[0]}{did_you_mean(unknown[0], known)}"
            raise config_error(
                OPTION, text, problem, f"{join_limited(sorted(known))}; texts in an expression need quotes"
            )

    def holds(self, values: Mapping[str, str]) -> bool:
        """Return whether the condition is true of a job's values, given as text."""
        typed = {key.lstrip("+~"): value for key, value in values.items()}
        try:
            return self.condition.evaluate(lambda key: parse_value(typed[key]))
        except (TypeError, ArithmeticError, KeyError) as error:
            of = " ".join(f"{key}={value}" for key, value in values.items())
            raise config_error(OPTION, self.text, f"cannot be evaluated for {of} ({error})", GRAMMAR) from error
