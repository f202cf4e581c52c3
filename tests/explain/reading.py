"""Reading what a page of ``npalexnet explain`` holds: its JSON, and the arrays in it."""

import base64
import json
import re

import numpy as np


def content_of(document):
    """Return the JSON of a page."""
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', document, re.DOTALL)
    return json.loads(found)


def array_of(code, *shape):
    """Return an array that was written as text."""
    if isinstance(code, str):
        numbers = np.frombuffer(base64.b64decode(code), "<f4")
    else:
        levels = np.frombuffer(base64.b64decode(code["levels"]), "<f4")
        numbers = levels[np.frombuffer(base64.b64decode(code["places"]), "u1")]
    return numbers.reshape(shape) if shape else numbers


def edge_of(content, index):
    """Return an array between two layers as the page has it."""
    found = content["edges"][index]
    return edge_of(content, found["same"]) if "same" in found else found


def maps_of(edge, key):
    """Return the channels of an edge that are on the page, each (H, W)."""
    return {int(c): array_of(both[key], *edge["shape"][1:]) for c, both in edge["maps"].items() if key in both}
