"""Some of what a source has, such as its classes, as a person names them."""

from collections.abc import Iterable, Sequence

from trainyard.errors import did_you_mean, listing, reject


def chosen(key: str, names: Iterable[object] | str | int, known: Sequence[str], least: int) -> tuple[str, ...]:
    """Return the names as they were chosen, in their order.

    Args:
        key: of the config.
        names: that were typed.
        known: all that there are.
        least: as many are needed.

    Raises:
        ConfigError: no list, one is unknown, one comes twice, or there are too few.
    """
    if isinstance(names, str | int):
        raise reject(key, names, "must be a list", f"{key}=[{','.join(known[:2])}]")
    words = tuple(map(str, names))
    for word in words:
        if word not in known:
            raise reject(key, word, f"unknown{did_you_mean(word, known)}", listing(known))
    if len(set(words)) < max(least, len(words)):
        raise reject(key, list(words), "too few, or one twice", f"at least {least} of {listing(known)}")
    return words
