"""Whether a server can be reached, found out in seconds: the hubs' own clients try for a minute before they give up."""

import contextlib
from urllib.error import HTTPError
from urllib.request import Request, urlopen

SECONDS = 5


def check_reachable(url: str) -> None:
    """Ask for the head of a page; any answer is one, a refusal too.

    Raises:
        OSError: there is no answer.
    """
    with contextlib.suppress(HTTPError):
        urlopen(Request(url, method="HEAD"), timeout=SECONDS).close()
