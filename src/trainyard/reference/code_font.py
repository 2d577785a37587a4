"""What is typed on a command line, in code font."""

import re

TYPED = re.compile(r"[+~]?[a-z_]\w*(?:[./@]\w+)*=\S+|-m")
WORD = re.compile(r"(\(?)(\S*?)([.,:;]?)(?=\s|$)")


def code(text: str) -> str:
    """Return a text in code font."""
    return f"`{' '.join(text.split())}`"


def with_code_font(text: str) -> str:
    """Return a sentence in which the words that are typed are in code font; what is so already stays."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else WORD.sub(marked, part) for part in parts).replace("` `", " ")


def marked(match: re.Match[str]) -> str:
    """Return a word of a sentence, between the marks of the sentence, in code font where it is typed."""
    before, word, after = match.groups()
    if word.count(")") > word.count("("):
        word, after = word[:-1], f"){after}"
    return f"{before}`{word}`{after}" if TYPED.fullmatch(word) else match[0]
