"""How Sphinx makes the site; scripts/build_docs.py puts its source together."""

import doh3d

project = "doh3d"
version = release = doh3d.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

html_theme = "furo"
html_title = f"doh3d {release}"
# What `doh3d` needs no network for, its documentation needs none for either: no fonts, no badges,
# and a search that runs in the page.
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False

# Links such as format.md#header.
myst_heading_anchors = 3

napoleon_google_docstring = False
napoleon_use_ivar = True
# Docstrings write code as Markdown does.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
python_maximum_signature_line_length = 80
