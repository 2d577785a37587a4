"""A text from anywhere, such as the name of a class, in a page of Markdown."""

import re

# An underscore inside a word means nothing; `|` does in tables alone, and `markdown_table` sees to it.
ACTIVE = re.compile(r"[\\`*~\[\]<>&$]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.")


def literal(text: object) -> str:
    """Return a text as one line that readers show as it is: no link, picture, HTML, emphasis or heading comes of it."""
    line = " ".join(str(text).split())
    return ACTIVE.sub(r"\\\g<0>", "".join(sign for sign in line if sign.isprintable()))
