"""Hooks of MkDocs: they add the generated reference of the config groups to the pages of `docs/`."""

from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from option_pages import pages

from trainyard.io.errors import ConfigError

# Marks a command that ends in an error for the tests; the highlighter does not know the option.
ENDS_IN_AN_ERROR = "\n```console error\n"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the reference."""
    try:
        generated = pages()
    except ConfigError as error:
        raise PluginError(str(error)) from error
    for name, text in generated.items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Remove the option of console blocks that the highlighter does not know."""
    return markdown.replace(ENDS_IN_AN_ERROR, "\n```console\n")
