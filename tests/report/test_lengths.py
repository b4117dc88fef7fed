import io

import numpy as np
import pytest
from matplotlib.image import imread

from pareft.report.lengths import _find_edges, draw_lengths


@pytest.mark.parametrize(
    "values", [[], [7], [7] * 1000, [3, 900, 40, 17, 66], [*range(2, 600), 50_000]], ids=["none", "one", "equal", "few", "tail"]
)
def test_any_lengths_are_drawn(values):
    lengths = {"source": np.array(values, dtype=np.int32), "target": np.array(values[:3], dtype=np.int32)}
    image = imread(io.BytesIO(draw_lengths(lengths, {"source": 128, "target": 7}, title="some")), format="png")
    assert image.shape[1] > 2 * image.shape[0]
    assert image.std() > 0


@pytest.mark.parametrize(("limit", "shown"), [(1, 1), (7, 7), (128, 128), (8, 1104), (512, 579), (1024, 1025)])
def test_no_bar_stands_on_both_sides_of_the_limit(limit, shown):
    edges = _find_edges(limit, shown)
    assert limit + 0.5 in edges
    assert edges[0] < 0
    assert edges[-1] > shown
    assert len(edges) <= 43
    assert (np.diff(edges) == edges[1] - edges[0]).all()
