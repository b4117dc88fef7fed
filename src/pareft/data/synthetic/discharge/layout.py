"""How a discharge note's text lies on the page."""

from collections.abc import Sequence

WIDTH = 78
GAP = "\n \n"  # between sections: a line with one blank


def wrap(paragraph: str) -> str:
    """Lines of at most 78 characters; as in MIMIC, the blank at a break stays at the line's end."""
    lines, start, last = [], 0, len(paragraph) - WIDTH
    while start < last:
        stop = paragraph.rfind(" ", start, start + WIDTH) + 1 or start + WIDTH
        lines.append(paragraph[start:stop])
        start = stop
    lines.append(paragraph[start:])
    return "\n".join(lines)


def number(items: Sequence[str], width: int = 0) -> str:
    """A numbered list, one item a line."""
    return "\n".join(f"{place}.{' ' * width} {item}" for place, item in enumerate(items, 1))


def capitalise(text: str) -> str:
    """The text with its first letter in upper case, the others as they are."""
    return text[:1].upper() + text[1:]
