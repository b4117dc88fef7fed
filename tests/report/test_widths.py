"""The picture of what is left inside the layers."""

from made import make_report

from pareft.report.plots import draw_plots
from pareft.report.widths import Narrowed, draw_widths

WIDTHS = {"encoder.self": 4, "encoder": 10}
KEPT = {"encoder.self": {0: 4, 2: 1}, "encoder": {0: 5, 2: 10}}


def test_every_kind_of_unit_has_a_panel_with_a_bar_for_each_kept_layer():
    figure = draw_widths([Narrowed({"encoder": 3}, WIDTHS, KEPT, "a, ")])
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["a, encoder self heads: 5 of 8", "a, encoder neurons: 15 of 20"]
    assert [[bar.get_height() for bar in axes.patches] for axes in figure.axes] == [[100, 25], [50, 100]]
    assert [round(bar.get_x() + bar.get_width() / 2) for bar in figure.axes[0].patches] == [0, 2]


def test_a_report_shows_each_narrow_plan_once_and_none_where_there_is_none():
    report = make_report()
    without = [arm.model_copy(update={"kept": {}}) for arm in report.arms]
    assert "widths" not in draw_plots(report.model_copy(update={"arms": without}))
    arms = [arm.model_copy(update={"widths": WIDTHS, "kept": KEPT, "plan_fingerprint": "one"}) for arm in report.arms]
    figure = draw_plots(report.model_copy(update={"arms": arms}))["widths"]
    assert len(figure.axes) == 2
    assert figure.axes[0].get_title(loc="left").startswith(arms[0].arm)
