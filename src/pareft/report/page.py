"""A report as one HTML page that needs nothing else: no file, no network; a policy in it lets no script run but its own."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pareft.report.sections import collect_sections
from pareft.reporting import Report

TEMPLATES = Path(__file__).parent / "templates"


def write_page(title: str, reports: Sequence[Report], *, beside: str = "") -> str:
    """Reports under each other on a page: tables, plots, layers, protocol, examples. It says the same for the same reports.

    Args:
        title: of the page.
        reports: what it shows, in this order.
        beside: HTML to stand under the title as it is. It is trusted; styles and scripts within it are not let through.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style, script = (_read(name) for name in ("page.css", "page.js"))
    return environment.get_template("page.html.j2").render(
        title=title,
        beside=Markup(beside),
        reports=[collect_sections(report, number) for number, report in enumerate(reports, 1)],
        style=Markup(style),
        script=Markup(script),
        policy=f"default-src 'none'; style-src {_allow(style)}; script-src {_allow(script)}; base-uri 'none'; form-action 'none'",
    )


def _read(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _allow(content: str) -> str:
    """A source expression that stands for this content alone (W3C, Content Security Policy)."""
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
