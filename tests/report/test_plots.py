import io
import warnings
from xml.etree import ElementTree

import matplotlib
import pytest
from made import make_bare, make_hostile, make_report, score
from matplotlib.image import imread

from pareft.report.figure import render_png, render_svg, settle, start_figure
from pareft.report.inlining import inline_svg
from pareft.report.labelling import name_points
from pareft.report.plots import CAPTIONS, draw_plots


def list_texts(svg):
    return {element.text for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("text")}


def test_a_full_report_has_every_plot():
    plots = draw_plots(make_report())
    assert list(plots) == list(CAPTIONS)
    for stem, figure in plots.items():
        assert imread(io.BytesIO(render_png(figure)), format="png").std() > 0
        assert any("lora+l-prun" in text for text in list_texts(render_svg(figure, salt=stem)))


def test_what_was_not_measured_is_not_drawn():
    assert draw_plots(make_bare()) == {}
    report = make_report()
    unmeasured = report.model_copy(update={"comparison": report.comparison.model_copy(update={"efficiency": None})})
    assert "steps" not in draw_plots(unmeasured)
    silent = [arm.model_copy(update={"history": [entry for entry in arm.history if "loss" in entry]}) for arm in report.arms]
    curves = draw_plots(report.model_copy(update={"arms": silent}))["curves"]
    assert [axes.get_title(loc="left") for axes in curves.axes] == ["Training loss"]


@pytest.mark.parametrize("render", [render_png, lambda figure: render_svg(figure, salt="s")], ids=["png", "svg"])
def test_the_same_report_is_drawn_the_same(render):
    one, other = (draw_plots(make_report()) for _ in range(2))
    for stem, figure in one.items():
        first = render(figure)
        assert first == render(other[stem])
        assert first == render(figure)
        assert (b"atplotlib v" if isinstance(first, bytes) else "atplotlib v") not in first


def test_any_name_is_drawn_as_it_is():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for stem, figure in draw_plots(make_hostile()).items():
            assert any("<script>" in text for text in list_texts(render_svg(figure, salt=stem)) if text), stem


def test_names_do_not_cover_each_other():
    axes = start_figure(width=5, height=4).subplots()
    points = {"the one": (1.0, score(5.0, 3, 7)), "the other": (1.02, score(5.1, 4, 6)), "a third": (1.01, score(5.05))}
    axes.set(xlim=(0, 2), ylim=(0, 10))
    settle(axes.figure)
    name_points(axes, points, colour="black")
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == 3
    assert not any(one.overlaps(other) for one in boxes for other in boxes if one is not other)


def test_inlined_plots_share_no_name_with_each_other_and_have_no_styles():
    ids, count = set(), 0
    for stem, figure in draw_plots(make_report()).items():
        svg = inline_svg(render_svg(figure, salt=stem, transparent=True), prefix=f"{stem}-", name="a <plot>")
        root = ElementTree.fromstring(svg)
        own = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
        targets = {element.attrib["href"][1:] for element in root.iter("use")}
        assert targets <= set(own)
        ids, count = ids | set(own), count + len(own)
        assert not any("style" in element.attrib or element.tag == "style" for element in root.iter())
        assert "#24292f" not in svg
        assert "currentColor" in svg
        assert "http" not in svg
    assert len(ids) == count


def test_the_font_is_the_pages_but_for_its_size():
    for style in (
        "font-size: 9px; font-family: 'DejaVu Sans'",
        "font: 9px 'DejaVu Sans', sans-serif",
    ):  # since matplotlib 3.11, before
        svg = inline_svg(f'<svg><text style="{style}; fill: #24292f">a</text></svg>', prefix="p-", name="n")
        assert '<text font-size="9px" fill="currentColor">a</text>' in svg


def test_a_users_own_style_changes_nothing():
    plain = {stem: render_svg(figure, salt=stem) for stem, figure in draw_plots(make_report()).items()}
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "lines.linewidth": 9, "text.parse_math": True}):
        styled = {stem: render_svg(figure, salt=stem) for stem, figure in draw_plots(make_report()).items()}
    assert styled == plain
