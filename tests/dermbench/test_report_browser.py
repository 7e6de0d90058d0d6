"""The report in a real browser, opened from disk without any network, as a person uses it."""

import base64
import re

import pytest
from browser import FAINT, NAMELESS, WIDER, complaints, open_browser, open_page, resize
from made_report import HOSTILE, JUDGES, LABELS, made_report

from skingpt_r1.dermbench.report.rows import write_report
from skingpt_r1.dermbench.summary import join_runs
from skingpt_r1.dermcot.card import RESEARCH

NUMBER = 120


@pytest.fixture(scope="module")
def chrome():
    with open_browser() as driver:
        yield driver


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_report(made_report(NUMBER), tmp_path_factory.mktemp("report")).page


@pytest.fixture
def page(chrome, path):
    """The page at desktop width; nothing may complain while a test uses it."""
    resize(chrome, 1280)
    open_page(chrome, path)
    yield chrome
    assert complaints(chrome) == []
    assert chrome.execute_script("return window.stolen === undefined;")
    loaded = "return performance.getEntriesByType('resource').map((entry) => entry.name);"
    outside = [name for name in chrome.execute_script(loaded) if not name.startswith("data:")]
    assert outside == []


def element(page, name):
    return page.find_element("id", name)


def choose(page, name, value):
    from selenium.webdriver.support.ui import Select

    Select(element(page, name)).select_by_value(value)


def keys(page, *pressed):
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(page).send_keys(*pressed).perform()


def status(page):
    return element(page, "case-count").text


def title(page):
    return element(page, "case-title").text


def background(page):
    return page.execute_script("return getComputedStyle(document.body).backgroundColor;")


def test_opens_with_the_first_case(page) -> None:
    assert RESEARCH in page.title
    assert title(page) == f"{LABELS[0]} (case-0000)"
    assert status(page).startswith(f"Case 1 of {NUMBER} chosen, of {NUMBER}")
    assert HOSTILE in element(page, "case-body").text
    assert len(page.find_elements("css selector", "#case-list li")) == 50


def test_buttons_go_forth_and_back(page) -> None:
    assert not element(page, "case-before").is_enabled()
    element(page, "case-after").click()
    assert title(page).endswith("(case-0001)")
    assert page.current_url.endswith("#case=case-0001")
    element(page, "case-before").click()
    assert title(page).endswith("(case-0000)")


def test_keys_go_forth_and_back_inside_the_browser(page) -> None:
    from selenium.webdriver.common.keys import Keys

    page.execute_script("document.getElementById('case').focus();")
    keys(page, Keys.ARROW_RIGHT, "j", "j")
    assert title(page).endswith("(case-0003)")
    keys(page, "k", Keys.ARROW_LEFT)
    assert title(page).endswith("(case-0001)")


def test_letters_typed_elsewhere_move_nothing(page) -> None:
    from selenium.webdriver.common.keys import Keys

    element(page, "filter-text").send_keys("j")
    assert status(page).startswith("No case of")
    keys(page, Keys.BACKSPACE)
    page.execute_script("document.querySelector('.contents a').focus();")
    keys(page, "j")
    assert "case-0000" in title(page)


def test_filters_narrow_and_are_undone(page) -> None:
    choose(page, "filter-label", "melanoma")
    assert status(page).startswith(f"Case 1 of {NUMBER // 4} chosen")
    choose(page, "filter-tone", "dark")
    assert status(page).startswith("No case of")
    assert title(page) == "No case"
    choose(page, "filter-label", "")
    assert title(page) == "wart (case-0002)"
    page.find_element("css selector", "#filters button[type=reset]").click()
    page.implicitly_wait(1)
    assert status(page).startswith(f"Case 1 of {NUMBER} chosen")


def test_text_finds_a_case(page) -> None:
    element(page, "filter-text").send_keys("CASE-0077")
    assert status(page).startswith("Case 1 of 1 chosen")
    assert title(page).endswith("(case-0077)")


def test_gap_filters_and_orders(page) -> None:
    from selenium.webdriver.common.keys import Keys

    def gaps():
        items = page.find_elements("css selector", "#case-list .small")
        return [float(item.text.rpartition("gap ")[2]) for item in items]

    choose(page, "filter-order", "gap")
    found = gaps()
    assert found == sorted(found, reverse=True)
    choose(page, "filter-table", "1")
    other = gaps()
    assert other == sorted(other, reverse=True)
    assert other != found
    element(page, "filter-gap").send_keys(Keys.CONTROL, "a")
    element(page, "filter-gap").send_keys("1.5")
    assert gaps()
    assert min(gaps()) >= 1.5
    choose(page, "filter-order", "low")
    assert min(gaps()) >= 1.5


def test_pages_of_the_list(page) -> None:
    element(page, "page-after").click()
    assert element(page, "page-place").text == "2 of 3"
    page.find_element("css selector", "#case-list li button").click()
    assert title(page).endswith("(case-0050)")
    assert len(page.find_elements("css selector", "#case-list [aria-current]")) == 1


def test_the_last_case_has_no_next(page) -> None:
    element(page, "filter-text").send_keys("case-0119")
    assert not element(page, "case-after").is_enabled()


def test_an_address_leads_to_its_case(chrome, path) -> None:
    resize(chrome, 1280)
    open_page(chrome, path)
    chrome.get(f"{path.as_uri()}#case=case-0042")
    assert title(chrome).endswith("(case-0042)")


def test_a_case_shows_everything(page) -> None:
    element(page, "filter-text").send_keys("case-0001")
    body = element(page, "case-body")
    picture = body.find_element("tag name", "img")
    assert picture.get_attribute("alt") == "Picture of case case-0001, label melanoma"
    assert page.execute_script("return arguments[0].naturalWidth;", picture) == 64
    captions = [item.text for item in body.find_elements("tag name", "caption")]
    assert captions == [
        "Scores of rubric judge 1, decimals 0-5",
        "Scores of openai/judge-1, integers 1-5",
    ]
    for words in ("Reference", "Skin tone", "medium", "colour", "unscored: empty",
                  "No usable answer: empty", "diagnosis: exact",
                  "cut from the front before judging"):  # fmt: skip
        assert words in body.text
    body.find_element("css selector", "details summary").click()
    assert "Accuracy because & so on <b>1</b>" in body.text


def test_no_picture_is_explained(page) -> None:
    body = element(page, "case-body")
    assert body.find_elements("tag name", "img") == []
    assert "No picture: the licence does not allow it: CC BY-NC." in body.text


def test_dark_follows_the_system_and_the_button_wins(page, path) -> None:
    light = background(page)
    resize(page, 1280, dark=True)
    dark = background(page)
    assert light != dark
    button = element(page, "theme")
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert background(page) == light
    assert button.get_attribute("aria-pressed") == "false"
    open_page(page, path)
    assert background(page) == light
    page.execute_script("localStorage.clear();")


@pytest.mark.parametrize("dark", [False, True])
def test_words_can_be_read_in_both_colour_schemes(page, dark: bool) -> None:
    resize(page, 1280, dark=dark)
    page.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true; });")
    assert page.execute_script(FAINT) == []


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_sticks_out(page, width: int) -> None:
    resize(page, width)
    page.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true; });")
    assert page.execute_script(WIDER) <= 0


def test_a_report_of_two_runs_tells_them_apart(chrome, tmp_path_factory) -> None:
    one = made_report(5)
    joined = join_runs({"first": one, "second": one})
    path = write_report(joined, tmp_path_factory.mktemp("two")).page
    for width in (1280, 390):
        resize(chrome, width)
        open_page(chrome, path)
        assert chrome.execute_script(WIDER) <= 0
        element(chrome, "filter-text").send_keys("second/case-0002")
        assert status(chrome).startswith("Case 1 of 1 chosen, of 10")
        body = element(chrome, "case-body")
        assert "Run\nsecond" in body.text
        captions = [item.text for item in body.find_elements("tag name", "caption")]
        assert captions == [f"Scores of {', '.join(judge)}, run second" for judge in JUDGES]
    assert complaints(chrome) == []


def test_tab_begins_with_the_skip_link_and_focus_shows(page) -> None:
    from selenium.webdriver.common.keys import Keys

    keys(page, Keys.TAB)
    focused = page.switch_to.active_element
    assert focused.text == "Skip to the results"
    style = page.execute_script(
        "const s = getComputedStyle(arguments[0]); return [s.outlineStyle, s.left];", focused
    )
    assert style == ["solid", "0px"]
    keys(page, Keys.ENTER)
    assert page.execute_script("return document.activeElement.id;") == "main"
    keys(page, Keys.TAB)
    inside = "return document.activeElement.closest('main') !== null;"
    assert page.execute_script(inside)


def test_everything_that_takes_the_focus_has_a_name(page) -> None:
    assert page.execute_script(NAMELESS) == []


def test_prints_without_controls(page) -> None:
    pdf = base64.b64decode(page.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert pdf.startswith(b"%PDF")
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    shown = [element(page, name).is_displayed() for name in ("theme", "filters", "case-list")]
    assert shown == [False, False, False]
    assert element(page, "case-body").is_displayed()


def test_screenshots(page, tmp_path_factory) -> None:
    folder = tmp_path_factory.mktemp("screenshots")
    for name, width, dark in (
        ("desktop", 1280, False),
        ("phone", 390, False),
        ("dark", 1280, True),
    ):
        resize(page, width, dark=dark)
        for anchor in ("overview", "classification", "cases"):
            page.execute_script(
                "document.getElementById(arguments[0]).scrollIntoView({behavior: 'instant'});",
                anchor,
            )
            assert page.save_screenshot(str(folder / f"{name}_{anchor}.png"))
    assert len({item.read_bytes() for item in folder.iterdir()}) == 9


def test_nothing_foreign_runs_or_is_fetched_without_the_policy_either(chrome, path, tmp_path):
    """The policy is a second lock: what others wrote must be harmless before it."""
    text = path.read_text("utf-8")
    open_door = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    assert len(open_door) < len(text)
    page = tmp_path / "report.html"
    page.write_text(open_door, "utf-8")
    open_page(chrome, page)
    for _ in range(NUMBER):
        keys(chrome, "j")
    assert chrome.execute_script("return window.stolen === undefined;")
    fetched = "return performance.getEntriesByType('resource').map((entry) => entry.name);"
    assert [name for name in chrome.execute_script(fetched) if not name.startswith("data:")] == []
