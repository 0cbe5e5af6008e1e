"""Sphinx configuration. Build: sphinx-build -W -b html docs target/docs/html."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flask_mqtt

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "flask-mqtt-rs"
author = "the authors of flask-mqtt-rs"
copyright = "the authors of flask-mqtt-rs"  # noqa: A001 - Sphinx's name
release = flask_mqtt.__version__
version = release

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"flask-mqtt-rs {release}"
html_static_path = ["_static"]

myst_enable_extensions = ["deflist", "colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = True
napoleon_numpy_docstring = False


def keep_return_values_whole(*arguments: Any) -> None:
    """Keep napoleon from taking what is before a colon in `Returns:` for a type."""
    lines: list[str] = arguments[-1]
    for number, line in enumerate(lines[:-1]):
        if line.strip() == "Returns:":
            text = lines[number + 1]
            indentation = len(text) - len(text.lstrip())
            lines[number + 1] = f"{text[:indentation]}: {text.lstrip()}"


def setup(app: Sphinx) -> None:
    """Connect to the events of the build; before napoleon, whose priority is 500."""
    app.connect("autodoc-process-docstring", keep_return_values_whole, priority=400)
