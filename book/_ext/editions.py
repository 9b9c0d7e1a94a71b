"""Sphinx extension: the same pages in several languages.

Each page has a switch that keeps the page, and tells search engines of the others. An edition's
pages keep the anchors of the English ones, whatever their headings say, so a link to a section
leads there in every language. Which editions there are, ``editions.yml`` says. The sources of an
edition are written by ``tools/editions.py``, with what this extension needs beside them.
"""

import json
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.locale import _, translators
from sphinx.transforms import SphinxTransform
from sphinxcontrib.bibtex.plugin import register_plugin
from sphinxcontrib.bibtex.style.referencing import PersonStyle
from sphinxcontrib.bibtex.style.referencing.author_year import AuthorYearReferenceStyle

ENGLISH = {"language": "en", "path": "", "name": "English"}


def settings_of(app: Sphinx) -> dict[str, Any]:
    """Return the editions, with the pages that each has, and what the current one needs."""
    folder = Path(app.srcdir) / "book" / "locale"
    found: dict[str, Any] = yaml.safe_load((folder / "editions.yml").read_text(encoding="utf-8"))
    here = folder / "edition.json"
    return found | (json.loads(here.read_text(encoding="utf-8")) if here.exists() else {})


def start(app: Sphinx) -> None:
    """Read what there is to know, and add to the translations of the theme."""
    app.editions = settings_of(app)  # type: ignore[attr-defined]
    for catalog in ("sphinx", "booktheme"):
        known = translators.get(("general", catalog))
        if known is not None and hasattr(known, "_catalog"):
            known._catalog.update(app.editions.get("says", {}))  # type: ignore[attr-defined]


@dataclass
class Cited(AuthorYearReferenceStyle):
    """Citations as the course has them, with its language's word between two names."""

    person: PersonStyle = field(default_factory=lambda: PersonStyle(sep2=f" {_('and')} "))


class KeepAnchors(SphinxTransform):
    """Give the sections of a translated page the anchors that they have in English."""

    default_priority = 100

    def apply(self, **kwargs: Any) -> None:
        """Rename the sections of this page."""
        anchors = self.app.editions.get("anchors", {}).get(self.env.docname)  # type: ignore[attr-defined]
        slugs = getattr(self.document, "myst_slugs", {})
        if not anchors:
            return
        if self.env.docname in self.app.editions["waiting"]:  # type: ignore[attr-defined]
            new = {slug: (0, ident, text) for slug, ident, text in anchors[1:]}
        elif len(anchors) == len(slugs):
            sections = [self.document.ids.pop(ident, None) for _, ident, _ in slugs.values()]
            new = {}
            old = slugs.values()
            for section, (slug, ident, _), (line, was, text) in zip(
                sections, anchors, old, strict=True
            ):
                new[slug] = (line, ident, text)
                if section is None:
                    continue
                section["ids"] = [ident if name == was else name for name in section["ids"]]
                self.document.ids[ident] = section
                for name in section["names"]:
                    self.document.nameids[name] = ident
        else:
            return
        self.document.myst_slugs = new
        self.env.metadata[self.env.docname]["myst_slugs"] = new


def write_anchors(app: Sphinx, error: Exception | None) -> None:
    """Note the anchors of all English pages for the editions."""
    if error or app.builder.name != "html" or "anchors" in app.editions:  # type: ignore[attr-defined]
        return
    found = {
        name: [[slug, ident, text] for slug, (_, ident, text) in slugs.items()]
        for name, data in app.env.metadata.items()
        if (slugs := data.get("myst_slugs"))
    }
    file = Path(app.outdir).parent / "anchors.json"
    file.write_text(json.dumps(found, indent=1, ensure_ascii=False), encoding="utf-8")


def add_switch(
    app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Tell a page's template of the same page in the other languages."""
    settings = app.editions  # type: ignore[attr-defined]
    here = str(app.config.language).replace("_", "-")
    context["language"] = here
    up = "../" * (name.count("/") + bool(settings.get("here")))
    same = name in app.env.found_docs or name in ("search", "genindex")
    same = same and not name.startswith("book/package/")  # made from the English docstrings
    base = str(app.config.html_baseurl).removesuffix(f"{settings.get('here', '')}/")
    switch, alternates = [], []
    for language, edition in {"en": ENGLISH, **settings["editions"]}.items():
        lang, path = language.replace("_", "-"), edition["path"]
        root = f"{path}/" if path else ""
        target = f"{root}{name}.html" if same or lang == here else f"{root}index.html"
        switch.append(
            {
                "href": up + target,
                "lang": lang,
                "name": edition["name"],
                "short": language[:2].upper(),
                "here": lang == here,
            }
        )
        if same and name in edition.get("pages", [name]):
            link = f'<link rel="alternate" hreflang="{lang}" href="{escape(base + target)}" />'
            alternates.append(link)
    context["language_switch"] = switch
    context["language_switch_label"] = settings.get("says", {}).get("Languages", "Languages")
    if len(alternates) > 1:
        context["metatags"] = context.get("metatags", "") + "\n".join(alternates)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    register_plugin("sphinxcontrib.bibtex.style.referencing", "course", Cited)
    app.add_config_value("course_words", {}, "env")
    app.connect("builder-inited", start)
    app.connect("html-page-context", add_switch)
    app.connect("build-finished", write_anchors)
    app.add_transform(KeepAnchors)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
