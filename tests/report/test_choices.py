"""The picture of how layers were chosen."""

from made import make_planning, make_report
from matplotlib.colors import to_hex

from pareft.records import DroppedRecord
from pareft.report.choices import GONE, Chosen, draw_choices
from pareft.report.figure import render_png
from pareft.report.plots import draw_plots

DEPTHS, LAYERS = {"encoder": 4, "decoder": 3}, {"encoder": [0, 1, 3], "decoder": [0]}


def find_gone(axes):
    return [place for place, bar in enumerate(axes.patches) if to_hex(bar.get_facecolor()) == GONE]


def test_every_stack_has_a_panel_in_which_the_dropped_layers_are_grey():
    figure = draw_choices([Chosen(DEPTHS, LAYERS, make_planning({"encoder": [4, 3, 1, 2], "decoder": [3, 1, 2]}))])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["encoder: 3 of 4 stay", "decoder: 1 of 3 stay"]
    assert [find_gone(axes) for axes in figure.axes] == [[2], [1, 2]]
    assert render_png(figure).startswith(b"\x89PNG")


def test_of_blocks_the_one_that_goes_is_grey_and_a_search_is_a_line():
    blocks = Chosen(DEPTHS, LAYERS, make_planning({"encoder": [0.3, 0.2, 0.1, 0.4], "decoder": [0.2, 0.1]}), "a, ")
    steps = [DroppedRecord(stack="decoder", layer=1, cost=2.5), DroppedRecord(stack="encoder", layer=2, cost=2.7)]
    figure = draw_choices([blocks, Chosen(DEPTHS, LAYERS, make_planning({}, steps), "b, ")])
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [find_gone(axes) for axes in shown[:2]] == [[2], [1]]
    assert list(shown[2].lines[0].get_ydata()) == [2.5, 2.7]
    assert [text.get_text() for text in shown[2].texts] == ["dec 1", "enc 2"]


def test_a_report_shows_each_choice_once_and_none_where_there_was_none():
    report = make_report()
    without = [arm.model_copy(update={"planning": None}) for arm in report.arms]
    assert "choices" not in draw_plots(report.model_copy(update={"arms": without}))
    arms = [arm.model_copy(update={"planning": make_planning()}) for arm in report.arms]
    figure = draw_plots(report.model_copy(update={"arms": arms}))["choices"]
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        f"{arms[0].arm}, encoder: {len(arms[0].layers['encoder'])} of 3 stay",
        f"{arms[0].arm}, decoder: 3 of 3 stay",
    ]
