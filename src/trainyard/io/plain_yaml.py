"""Loads YAML from untrusted files: plain values only, without aliases, which could expand to billions of values."""

from typing import Any

import yaml  # type: ignore[import-untyped]

MOST_DEEP = 50  # levels; the parser of libyaml crashes Python at some ten thousand
MOST_BYTES = 2**20  # of a config; a megabyte takes half a second


def load_yaml(text: str) -> Any:
    """Return the plain value of a text, which may contain no aliases, no tagged lists or dicts and no deep nesting.

    Raises:
        yaml.YAMLError: invalid YAML, an alias, or too many levels.
    """
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not supported")
        if isinstance(event, yaml.CollectionStartEvent) and event.tag:  # !!pairs makes tuples
            raise yaml.YAMLError(f"the tag {event.tag} is not supported")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEEP:
            raise yaml.YAMLError(f"nested more than {MOST_DEEP} levels deep")
    try:
        return yaml.load(text, Loader=yaml.CSafeLoader)
    except ValueError as error:  # of a date or a number
        raise yaml.YAMLError(str(error)) from error
