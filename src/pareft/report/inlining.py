"""A plot as part of a page: in its colours, without styles that a strict policy forbids, without names that others may have."""

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from pareft.report.figure import COLOURS, INK

PAGE_COLOURS = {INK: "currentColor"} | {colour: f"var(--arm-{number})" for number, colour in enumerate(COLOURS)}
SIZE = re.compile(r"([\d.]+)px")  # in `font`, as matplotlib before 3.11 has it
TARGET = re.compile(r"(?:url\()?#([^()]+)\)?")
SCALED = {"width", "height", "version"}  # of the whole, which takes what room the page has


def inline_svg(svg: str, *, prefix: str, name: str) -> str:
    """An SVG that matplotlib drew as an element of HTML, called `name` to those who do not see it. Ink is the page's own colour, an
    arm's colour the page's variable `--arm-0` and so on, its ids begin with `prefix`, and what nothing refers to has none.
    """
    root = ElementTree.fromstring(svg)
    for element in list(root.iter()):
        for inner in [inner for inner in element if _tag(inner) in ("metadata", "style")]:
            element.remove(inner)
    wanted = {target for element in root.iter() for target in _list_targets(element)}
    for element in root.iter():
        _rewrite(element, wanted, prefix)
    for key in SCALED & set(root.attrib):
        del root.attrib[key]
    root.attrib |= {"role": "img", "aria-label": name, "stroke-linejoin": "round"}
    return ElementTree.tostring(root, encoding="unicode")


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _list_targets(element: Element) -> list[str]:
    """The ids that an element refers to."""
    found = map(TARGET.fullmatch, element.attrib.values())
    return [match[1] for match in found if match]


def _rewrite(element: Element, wanted: set[str], prefix: str) -> None:
    element.tag = _tag(element)
    attributes: dict[str, str] = {}
    for key, value in (*element.attrib.items(), *_read_style(element.attrib.get("style", ""))):
        match key.rpartition("}")[2]:
            case "style":
                pass
            case "id":
                attributes |= {"id": prefix + value} if value in wanted else {}
            case "href":
                attributes["href"] = f"#{prefix}{value[1:]}"
            case name:
                attributes[name] = PAGE_COLOURS.get(value, value.replace("url(#", f"url(#{prefix}"))
    attributes |= {"d": " ".join(attributes["d"].split())} if "d" in attributes else {}
    element.attrib.clear()
    element.attrib.update(attributes)
    element.text = element.text if element.tag in ("text", "tspan") else None
    element.tail = None


def _read_style(style: str) -> list[tuple[str, str]]:
    """The properties of a style as attributes; the font is the page's, but for its size."""
    pairs = [(key.strip(), value.strip()) for key, _, value in (part.partition(":") for part in style.split(";"))]
    sizes = [("font-size", f"{size[1]}px") for key, value in pairs if key == "font" and (size := SIZE.search(value))]
    return sizes + [(key, value) for key, value in pairs if key and key not in ("font", "font-family")]
