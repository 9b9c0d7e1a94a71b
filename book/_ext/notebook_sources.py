"""Sphinx extension: pages of notebooks show the text of the source with the outputs of its twin.

The twin, which Sphinx finds and the buttons open, holds plain Markdown for every notebook program.
The source holds the boxes, references and citations that the site can do better. Equations are
numbered by chapter, as they are in the twins.
"""

from pathlib import Path

import nbformat
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.domains.math import MathDomain
from sphinx.util import logging

from rnncourse.renderings import equation_number, for_site, read

logger = logging.getLogger(__name__)


def show_source(app: Sphinx, name: str, content: list[str]) -> None:
    """Replace the twin that Sphinx has read by the source's text with the twin's outputs."""
    twin = Path(app.env.doc2path(name))
    if twin.suffix != ".ipynb":
        return
    source = twin.with_suffix(".md")
    app.env.note_dependency(str(source))
    try:
        notebook = for_site(read(source), nbformat.reads(content[0], as_version=4))
    except (FileNotFoundError, ValueError) as error:
        logger.warning("%s", error, location=name)
    else:
        content[0] = nbformat.writes(notebook)


class ChapterMathDomain(MathDomain):
    """Numbers equations by chapter: (5.3) is the third one of chapter 5."""

    def note_equation(self, docname: str, labelid: str, location: nodes.Node | None = None) -> None:
        """Give an equation its number."""
        super().note_equation(docname, labelid, location)
        page, count = self.equations[labelid]
        self.equations[labelid] = page, equation_number(page, count)  # type: ignore[assignment]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("source-read", show_source)
    app.add_domain(ChapterMathDomain, override=True)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
