"""Sphinx extension: a chapter's number is part of its name, on the page, in menus and in results.

The number comes from the name of the file, the rest from the heading of the page, so that both
stand in one place. ``_toc.yml`` gives no titles of its own.
"""

import re
from pathlib import PurePosixPath

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.locale import _
from sphinx.transforms import SphinxTransform


def prefix(docname: str) -> str:
    """Return what stands before the heading of a page, such as ``6 · `` or ``Lab · ``."""
    page = PurePosixPath(docname)
    if str(page.parent) != "notebooks":
        return ""
    if number := re.match(r"0*(\d+)-", page.name):
        return f"{number[1]} · "
    return f"{_('Lab')} · " if page.name.startswith("lab-") else ""


class NumberChapters(SphinxTransform):
    """Put the number before the title, once the title is translated and its anchor is made."""

    default_priority = 500

    def apply(self, **kwargs: object) -> None:
        """Change the title of one page."""
        before = prefix(self.env.docname)
        title = next(self.document.findall(nodes.title), None)
        if before and title is not None and self.app.builder.format == "html":
            title.insert(0, nodes.Text(before))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_transform(NumberChapters)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
