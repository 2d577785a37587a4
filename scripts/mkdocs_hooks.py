"""What MkDocs does beside its own work: it makes the reference of the config groups, which is never stored."""

from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from trainyard.errors import ConfigError
from trainyard.reference.pages import pages

# The tests know by it that a command ends in an error; to the highlighter it is an unknown option of the block.
ENDS_IN_AN_ERROR = "\n```console error\n"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the reference to those of `docs/`."""
    try:
        made = pages()
    except ConfigError as error:
        raise PluginError(str(error)) from error
    for name, text in made.items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return the text of a page with all consoles shown alike."""
    return markdown.replace(ENDS_IN_AN_ERROR, "\n```console\n")
