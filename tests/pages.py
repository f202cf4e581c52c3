"""Reading HTML pages, and checking that they stand on their own."""

import re
from html.parser import HTMLParser

VOID = {"meta", "link", "img"}


class Checker(HTMLParser):
    """Reads a document; collects its tags, texts and whatever it refers to."""

    def __init__(self, document):
        super().__init__()
        self.open, self.references, self.texts, self.ids, self.tags = [], [], [], [], []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "srcset", "poster", "data", "action"):
                self.references.append(value)
            if name == "id":
                self.ids.append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def check_self_contained(document):
    """Return what was read of a page, which must be well-formed and refer to nothing outside of it."""
    checker = Checker(document)
    assert checker.open == []
    for reference in checker.references:
        assert reference.startswith("data:") or (reference[0] == "#" and reference[1:] in checker.ids), reference[:60]
    without_pictures = re.sub(r"base64,[A-Za-z0-9+/=]+", "", document)
    for outside in ("http", "url(", "@import", "<script", "file:"):
        assert outside not in without_pictures
    return checker
