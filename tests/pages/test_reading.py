"""The built pages in a browser: looks, reading, and clicking."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Browser, Locator, expect

from browsing import BY_SPHINX, HTML, NEEDS_BROWSER, PAGES, SEEN, Reader, in_turn, in_two_settings
from build_tools.chapter_text import read_chapter
from markup import frames
from medpriv.course.catalog import CHAPTERS
from medpriv.course.quiz import FOLDER

pytestmark = NEEDS_BROWSER

# What a reader must never see outside code.
RAW = re.compile(
    r"""
    \{[a-z][\w:.+-]*\}              # a role or directive: {glue:text}, {cite:t}, {numref}, {eq}
    | :::+ | ``` | %% | \+\+\+      # fences, cell markers, block breaks
    | :(class|name|label|tags|alt|filter):
    | \?\?                          # a reference or citation without a target
    | \\[(\[]                       # mathematics that nobody typeset
    | \bNo\ key\b | \bglue:         # a figure that no cell gave
    """,
    re.VERBOSE,
)

# Text a person reads, folded text too: each piece on a line.
PROSE = """() => {
  const inside = 'pre, code, script, style, noscript, mjx-container';
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const pieces = [];
  while (walk.nextNode())
    if (!walk.currentNode.parentElement.closest(inside)) pieces.push(walk.currentNode.data);
  return pieces.map(p => p.trim()).filter(p => p);
}"""

# A matplotlib figure or an object that shows as its Python name.
REPRESENTATIONS = """() => [...document.querySelectorAll('.cell_output pre')]
  .map(e => e.textContent.trim())
  .filter(t => /^<Figure size|^<IPython|^<medpriv| at 0x[0-9a-f]+>/.test(t))"""

IMAGES = """async () => {
  const images = [...document.images];
  images.forEach(i => { i.loading = 'eager'; });
  await Promise.all(images.map(i => i.decode().catch(() => null)));
  const decorative = i => i.hasAttribute('alt') && i.closest('.navbar-brand, [role=presentation]');
  const named = i => i.alt.trim() && !/\\.(png|svg|jpe?g|gif)$/i.test(i.alt);
  const name = i => i.src.startsWith('data:') ? i.outerHTML.slice(0, 60) : i.src;
  return [
    ...images.filter(i => !i.naturalWidth).map(i => 'not loaded: ' + name(i)),
    ...images.filter(i => !named(i) && !decorative(i)).map(i => 'without alt: ' + name(i)),
  ];
}"""

# Sphinx marks what is to be typeset; each must hold a drawing, and none an error.
MATHEMATICS = """() => {
  const drawn = e => e.querySelector('mjx-container svg');
  const wrong = e => e.querySelector('[data-mml-node="merror"], [data-mjx-error]');
  return [...document.querySelectorAll('.math')].filter(e => !drawn(e) || wrong(e))
    .map(e => e.textContent.trim().slice(0, 60));
}"""

# Content beyond the window's right edge, outside a box that scrolls by itself.
TOO_WIDE = """() => {
  const width = window.innerWidth + 1;
  const scrolls = e => e && e.tagName !== 'MAIN' &&
    (['auto', 'scroll'].includes(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
  const out = [...document.querySelectorAll('main article *')].filter(e =>
    !e.closest('mjx-container') && e.getBoundingClientRect().right > width && !scrolls(e));
  return out.slice(0, 3).map(e => e.outerHTML.slice(0, 80));
}"""

# Text in what the course draws itself whose contrast with its ground is under WCAG's 4.5.
FAINT = """() => {
  const parse = c => (c.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = c => { const [r, g, b] = parse(c).slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = e => { for (; e; e = e.parentElement) {
      const c = getComputedStyle(e).backgroundColor, a = parse(c);
      if (a.length < 4 || a[3] > 0.5) return c; }
    return 'rgb(255, 255, 255)'; };
  const contrast = e => { const [a, b] =
      [getComputedStyle(e).color, ground(e)].map(light).sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05); };
  const texts = '.medpriv-box :is(label, output, button, figcaption, p)';
  return [...document.querySelectorAll(texts)].filter(e => contrast(e) < 4.5)
    .map(e => e.textContent.trim() + ' (' + contrast(e).toFixed(1) + ')');
}"""

# --- Every page -----------------------------------------------------------------------------------


@in_two_settings
@pytest.mark.parametrize("name", [*PAGES, "index", *BY_SPHINX])
def test_a_page_reads_well(reader: Reader, name: str) -> None:
    if name in BY_SPHINX and not (HTML / f"{name}.html").exists():
        pytest.skip(f"this book has no {name}")
    page, setting = reader.open(name), reader.setting
    theme = page.evaluate("document.documentElement.dataset.theme")
    width = page.evaluate("document.scrollingElement.scrollWidth")
    prose = page.evaluate(PROSE)
    found = {
        "theme": [] if theme == setting.theme else [f"{theme}, not {setting.theme}"],
        "image": page.evaluate(IMAGES),
        "raw MyST": [text[:80] for text in prose if RAW.search(text)],
        "raw object": page.evaluate(REPRESENTATIONS),
        "Sphinx's complaint": page.locator(".system-message, .problematic").all_inner_texts(),
        "mathematics": page.evaluate(MATHEMATICS),
        "too wide": [] if width <= setting.width + 1 else [f"{width} px, window {setting.width}"],
        "cut off": page.evaluate(TOO_WIDE),
        "faint text": page.evaluate(FAINT),
        "error": reader.errors,
    }
    wrong = [f"{kind}: {what}" for kind, all_of_it in found.items() for what in all_of_it]
    assert prose, f"{name}.html at {setting} shows no text"
    assert not wrong, f"{name}.html at {setting}:\n" + "\n".join(wrong)


# --- What a chapter lets a reader do --------------------------------------------------------------


@in_turn("chapter", list(CHAPTERS))
def test_each_answer_of_a_quiz_gets_its_feedback(reader: Reader, chapter: str) -> None:
    page = reader.open(f"chapters/{chapter}")
    parts = json.loads((FOLDER / f"{chapter}.json").read_text(encoding="utf-8")).values()
    questions = [question for part in parts for question in part]
    where = f"{chapter} at {reader.setting}"
    shown = page.locator(".Quiz").count()
    assert shown == len(questions), f"{where}: {shown} of {len(questions)} questions"
    for question in questions:
        _answer(page.locator(".Quiz", has_text=question["question"]), question, where)
    assert not reader.errors, f"{where}: {reader.errors}"


def test_a_quiz_does_without_mathjax(browser: Browser, address: str) -> None:
    """On a slow machine it is shown before MathJax is there."""
    page, heard = browser.new_page(), []
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.route(re.compile("mathjax", re.I), lambda route: route.abort())
    page.goto(f"{address}chapters/06-model-inversion.html", wait_until="domcontentloaded")
    page.locator(".Quiz .MCButton").first.wait_for(state="attached")
    page.wait_for_timeout(1000)  # jupyterquiz looks for MathJax after half a second
    page.close()
    assert heard == []


def _answer(quiz: Locator, question: dict, where: str) -> None:
    """Choose each answer in turn; what is typed in has no wrong one to choose."""
    answers = question["answers"] if question["type"].endswith("_choice") else []
    buttons = quiz.locator(".MCButton").all()
    assert len(buttons) == len(answers), f"{where}: answers missing under {question['question']!r}"
    heard = []
    for button, answer in zip(buttons, answers, strict=True):
        button.click()
        feedback = quiz.locator(".Feedback")
        verdict = "correct" if answer["correct"] else "incorrect"
        assert verdict in (feedback.get_attribute("class") or "").split(), f"{where}: {answer}"
        heard.append(feedback.inner_text().strip())
    assert all(heard), f"{where}: an answer without feedback under {question['question']!r}"
    assert len(set(heard)) == len(heard), f"{where}: the same feedback twice: {heard}"


def boards(chapter: str) -> int:
    code = "\n".join(c.source for c in read_chapter(chapter).cells if c.cell_type == "code")
    return len(re.findall(r"\.static\(|course\.(?:film|defense_explorer)\(", code))


@in_turn("chapter", [name for name in CHAPTERS if boards(name)])
def test_a_board_moves_by_keyboard(reader: Reader, chapter: str) -> None:
    page = reader.open(f"chapters/{chapter}")
    where = f"{chapter} at {reader.setting}"
    found = page.locator(".medpriv-box").all()
    assert len(found) == boards(chapter), f"{where}: {len(found)} boards"
    for board in found:
        shown = frames(board.locator("script[type='application/json']").text_content() or "")
        kind = (board.get_attribute("class") or "").rpartition("-")[2]
        _reach(board, where)
        _move(board, {tuple(frame["choice"]): frame for frame in shown}, where)
        if kind == "film":
            _play(board, shown, where)
        if kind == "explorer":
            _compare(shown, where)
    assert not reader.errors, f"{where}: {reader.errors}"


def _reach(board: Locator, where: str) -> None:
    """Only what is in the tab order gets the focus back."""
    page, controls = board.page, board.locator("input, select, button").all()
    controls[0].focus()
    page.keyboard.press("Shift+Tab")
    assert not _focused(controls[0]), f"{where}: the focus is caught in the board"
    for control in controls:
        page.keyboard.press("Tab")
        assert _focused(control), f"{where}: Tab does not reach {control.inner_html()}"
    page.keyboard.press("Tab")
    assert not _focused(controls[-1]), f"{where}: the focus is caught in the board"


def _move(board: Locator, shown: dict[tuple[str, ...], dict], where: str) -> None:
    """Go through all that each control has, from where the one before it ended."""
    for place, control in enumerate(board.locator("input, select").all()):
        slider = control.get_attribute("type") == "range"
        last = int(control.evaluate("e => e.max || e.length - 1"))
        control.focus()
        board.page.keyboard.press("Home")
        seen = [board.evaluate(SEEN)]
        for _ in range(last):
            board.page.keyboard.press("ArrowRight" if slider else "ArrowDown")
            seen.append(board.evaluate(SEEN))
        for now in seen:
            assert now == shown[tuple(now["choice"])], f"{where}: {now['choice']} shows another"
        chosen = [now["choice"][place] for now in seen]
        assert len(set(chosen)) == last + 1, f"{where}: a control stays at {chosen}"
        looks = {json.dumps([now["pictures"], now["said"]]) for now in seen}
        assert len(looks) == len(seen), f"{where}: {chosen} changes nothing"


def _play(film: Locator, shown: list[dict], where: str) -> None:
    film.locator("input").press("Home")
    assert film.evaluate(SEEN) == shown[0], where
    film.locator("button").click()
    expect(film.locator("output")).to_have_text(shown[-1]["choice"][0], timeout=15_000)
    expect(film.locator("button")).to_have_text("Play")
    assert film.evaluate(SEEN) == shown[-1], where


def _compare(shown: list[dict], where: str) -> None:
    """What an explorer shows of a victim stays with the layer but for the reconstruction."""
    victims = sorted({frame["choice"][0] for frame in shown})
    original, guess, nearest = (
        {tuple(frame["choice"]): frame["pictures"][place] for frame in shown} for place in range(3)
    )
    for victim in victims:
        ours = [choice for choice in guess if choice[0] == victim]
        for stays in (original, nearest):
            assert len({tuple(stays[one].values()) for one in ours}) == 1, f"{where}: victim moved"
        for key in ("image", "alt", "score"):
            assert len({guess[one][key] for one in ours}) == len(ours), f"{where}: {key} stays"
    for split in {choice[1] for choice in guess}:
        images = {guess[victim, split]["image"] for victim in victims}
        scores = {guess[victim, split]["score"] for victim in victims}
        assert len(images) == len(victims), f"{where}: {split} shows one image of two victims"
        # Two victims may have the same score in two decimals; not all of them.
        assert len(scores) > 1, f"{where}: the score stays with the victim"


def _focused(element: Locator) -> bool:
    return element.evaluate("e => e === document.activeElement")


@in_turn("chapter", list(CHAPTERS))
def test_solutions_and_hints_are_folded_until_asked_for(reader: Reader, chapter: str) -> None:
    page = reader.open(f"chapters/{chapter}")
    where = f"{chapter} at {reader.setting}"
    text = "\n".join(c.source for c in read_chapter(chapter).cells if c.cell_type == "markdown")
    solutions, hints = page.locator(".solution").all(), page.locator("details").all()
    for kind, shown, wanted in (
        ("solutions", solutions, text.count("{solution-start}")),
        ("hints", hints, text.count(":::{dropdown}")),
    ):
        assert len(shown) == wanted, f"{where}: {len(shown)} of {wanted} {kind} can be unfolded"
    for solution in solutions:
        content = solution.locator("section > *").first
        assert not content.is_visible(), f"{where}: a solution is open"
        solution.locator(".toggle-button").click()
        content.wait_for(state="visible")
    for hint in hints:
        content = hint.locator("p").last
        assert not content.is_visible(), f"{where}: a hint is open"
        hint.locator("summary").click()
        content.wait_for(state="visible")
    assert not reader.errors, f"{where}: {reader.errors}"
