import re
from html.parser import HTMLParser

import pytest
from made import ARMS, HOSTILE, make_bare, make_hostile, make_report

from pareft.report.page import write_page
from pareft.report.sections import list_scores, summarise
from pareft.reporting import Report

VOID = {"meta", "input", "br", "img", "link"}


class Reader(HTMLParser):
    """What a browser would see: tags with their attributes, the text, the ids."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self.open = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def list(self, *names):
        return [attributes for tag, attributes in self.tags if tag in names]


@pytest.fixture(scope="module")
def page():
    return write_page("Arms", [make_report()])


def test_text_stays_text_wherever_it_stands():
    text = " ".join(HOSTILE)
    plain, hostile = Reader(write_page("Arms", [make_report()])), Reader(write_page(text, [make_hostile()]))
    assert not hostile.open
    assert {tag for tag, _ in hostile.tags} == {tag for tag, _ in plain.tags}
    assert len(hostile.list("script", "style")) == 2
    names = [name for _, attributes in hostile.tags for name in attributes]
    assert not [name for name in names if name.startswith("on") or name in ("src", "style")]
    seen = "".join(hostile.text)
    for piece in HOSTILE:
        assert seen.count(piece) > 20


def test_the_same_reports_make_the_same_page(page):
    again = Report.from_json(make_report().to_json())
    assert write_page("Arms", [again]) == page


def test_a_page_needs_nothing_from_elsewhere(page):
    assert not re.findall(r"https?://|//[a-z]|@import|url\((?!#)", page)
    read = Reader(page)
    assert not read.list("link", "img", "iframe", "object", "base")
    assert {attributes["href"][0] for attributes in read.list("a", "use")} == {"#"}
    policy = next(attributes["content"] for attributes in read.list("meta") if "http-equiv" in attributes)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_ids_are_unique_and_links_lead_to_them():
    page = Reader(write_page("Arms", [make_report(), make_report("again")]))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = [attributes["href"][1:] for attributes in page.list("a", "use")]
    wanted += [attributes["aria-labelledby"] for _, attributes in page.tags if "aria-labelledby" in attributes]
    assert set(wanted) <= set(ids)


def test_what_a_report_does_not_have_is_left_out():
    page = write_page("Arms", [make_bare()])
    assert [section in page for section in ("-plots", "-examples", "-layers", "-table")] == [False, False, True, True]
    assert [page.count("<table"), "<svg" in page] == [2, False]
    assert "None" not in page
    assert "<strong>two</strong> has no layer dropped and 10.0 % of its parameters trained." in page


def test_a_page_shows_the_whole_report(page):
    report, text = make_report(), " ".join("".join(Reader(page).text).split())
    for name in ("data digest", "max source tokens", "no repeat ngram size", "training seed", "precision", "versions", "hardware"):
        assert name in text
    assert "encoder: 2 of 3 layers kept: 1, 3" in page
    assert "<mark>No effusion</mark>" in page
    for example in report.examples:
        assert all(part in text for part in (example.id, example.reference, example.source, *example.predictions.values()))


def test_the_lead_says_what_an_arm_keeps_and_costs():
    assert dict(summarise(make_report().comparison))["lora+l-prun"] == (
        "keeps 94.8 % (93.1 to 96.4) of full's quality with 17 % of the layers dropped, 6.6 % of its parameters trained, "
        "143 % of full's training speed and 86 % of full's training memory."
    )


def test_every_score_stands_with_its_intervals():
    rows = list_scores(make_report().comparison).rows
    assert len(rows) == 3 * len(ARMS)
    assert rows[3:6] == [
        ["l-prun", "R-1", "50.60 (30.00 to 60.00)", "-1.50 (-2.00 to -1.00)", "101.2 (99.0 to 103.1)", "yes, lower"],
        ["l-prun", "R-2", "50.60 (30.00 to 60.00)", "+0.20 (-1.00 to +1.00)", "101.2 (99.0 to 103.1)", "≈ no"],
        ["l-prun", "mean of R-1, R-2", "–", "–", "101.2 (99.0 to 103.1)", "–"],
    ]


def test_what_stands_beside_is_taken_as_it_is():
    assert "<p>the paper's</p>" in write_page("Arms", [], beside="<p>the paper's</p>")
