"""The page as a browser shows it: what moves moves, nothing else does, and it can be read."""

import shutil

import pytest
from made import HOSTILE, make_hostile, make_report

from pareft.report.page import write_page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
NAMES = ("chromium", "chromium-browser", "google-chrome")
READABLE = 4.5  # contrast of text that WCAG 2.2 asks for at level AA
MEASURE_CONTRAST = """() => {
  const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const read = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const linear = (part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4);
  const shine = (colour) => [0.2126, 0.7152, 0.0722].reduce((sum, share, place) => sum + share * linear(colour[place]), 0);
  const ground = (element) => {
    const colour = read(getComputedStyle(element).backgroundColor);
    return colour[3] === 255 || !element.parentElement ? colour : ground(element.parentElement);
  };
  const found = [];
  for (const element of document.querySelectorAll("body *:not(script)")) {
    const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!own || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const both = [read(element instanceof SVGElement ? style.fill : style.color), ground(element)].map(shine);
    found.push([(Math.max(...both) + 0.05) / (Math.min(...both) + 0.05), element.tagName, element.textContent.slice(0, 40)]);
  }
  return found;
}"""

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed")
    with playwright.sync_playwright() as starter:
        browser = starter.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    for name, report in (("plain", make_report()), ("hostile", make_hostile())):
        (folder / f"{name}.html").write_text(write_page("Arms", [report]), encoding="utf-8")
    return folder


@pytest.fixture
def visit(browser, files):
    """Opens a page of `files`; it may ask for nothing but itself and has nothing to complain of."""
    complaints, asked, contexts = [], [], []

    def go(name, **options):
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((files / f"{name}.html").as_uri())
        return page

    yield go
    for context in contexts:
        context.close()
    assert not complaints
    assert len(asked) == len(contexts)


def list_column(page, number):
    return page.locator("table").first.locator(f"tbody tr > :nth-child({number})").all_inner_texts()


def test_tables_are_sorted_by_a_click_and_by_a_key(visit):
    page = visit("plain")
    table = page.locator("table").first
    button = table.get_by_role("button", name="Trained parameters")
    head = table.locator("thead th", has_text="Trained parameters")
    assert list_column(page, 3) == ["6,210,560", "4,359,168", "614,400", "409,600"]
    button.click()
    assert (list_column(page, 3)[0], head.get_attribute("aria-sort")) == ("409,600", "ascending")
    button.press("Enter")
    assert (list_column(page, 3)[0], head.get_attribute("aria-sort")) == ("6,210,560", "descending")
    table.get_by_role("button", name="Arm").press("Space")
    assert (list_column(page, 1), head.get_attribute("aria-sort")) == (["full", "l-prun", "lora", "lora+l-prun"], None)


def test_examples_are_filtered_and_ordered(visit):
    page = visit("plain")
    cards, count, search = page.locator("article:visible"), page.locator("output"), page.get_by_role("searchbox")
    assert (cards.count(), count.inner_text()) == (12, "12 of 12 shown")
    search.fill("CASE 1")
    assert (cards.count(), count.inner_text()) == (3, "3 of 12 shown")
    page.get_by_role("combobox").select_option("high")
    assert cards.locator("h4").all_inner_texts() == ["case 11", "case 10", "case 1"]
    search.fill("seen. 4")  # in what the arms wrote
    assert cards.locator("h4").all_inner_texts() == ["case 4"]
    for arm in ("full", "l-prun", "lora"):
        page.get_by_label(arm, exact=True).uncheck()
    assert cards.locator("[data-arm]:visible h5").all_inner_texts() == ["lora+l-prun"]
    page.get_by_label("lora+l-prun", exact=True).uncheck()
    assert (cards.count(), count.inner_text()) == (0, "0 of 12 shown")


def test_what_is_hostile_does_not_run(visit):
    page = visit("hostile")
    assert page.evaluate("window.ran") is None
    assert page.locator("h4", has_text=HOSTILE[0]).first.is_visible()
    assert page.locator("img").count() == 0


def test_a_script_that_got_in_would_not_run(browser, files):
    page = browser.new_page()  # not by `visit`: the browser complains, as it should
    page.goto((files / "plain.html").as_uri())
    refused = page.evaluate(
        """() => new Promise((done) => {
          document.addEventListener("securitypolicyviolation", (event) => done(event.effectiveDirective));
          const script = document.createElement("script");
          script.text = "window.ran = true";
          document.body.append(script);
        })"""
    )
    assert (refused, page.evaluate("window.ran")) == ("script-src-elem", None)
    page.close()


@pytest.mark.parametrize("name", ["plain", "hostile"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_does_not_scroll_sideways(visit, name, width):
    page = visit(name, viewport={"width": width, "height": 740})
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_text_can_be_read_in_the_light_and_in_the_dark(visit):
    grounds = set()
    for scheme in ("light", "dark"):
        page = visit("plain", color_scheme=scheme)
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        measured = page.evaluate(MEASURE_CONTRAST)
        assert len(measured) > 300
        assert min(measured)[0] >= READABLE, (scheme, min(measured))
        assert {"text", "MARK", "BUTTON"} <= {tag for _, tag, _ in measured}
    assert len(grounds) == 2


def test_every_control_is_reached_by_key_and_shows_it(visit):
    page = visit("plain")
    page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    expected = page.locator("a, button, input, select, summary, [tabindex='0']").count()
    shown = []
    while len(shown) <= expected:
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        shown.append(page.evaluate("getComputedStyle(document.activeElement).outlineStyle"))
    assert shown == ["solid"] * expected


def test_without_scripts_all_is_there(visit):
    page = visit("plain", java_script_enabled=False)
    assert page.locator("article:visible").count() == 12
    assert page.locator("table").first.is_visible()
    assert page.locator("form:visible").count() == 0
    assert page.locator("button").count() == 0
