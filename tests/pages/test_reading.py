"""The built pages in a browser: looks, reading, and clicking."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Browser, Locator, expect

from browsing import BY_SPHINX, HTML, NEEDS_BROWSER, PAGES, Reader, in_turn, in_two_settings
from build_tools.chapter_text import read_chapter
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


def calls(chapter: str, method: str) -> int:
    code = "\n".join(c.source for c in read_chapter(chapter).cells if c.cell_type == "code")
    return code.count(method)


EXPLORERS = [name for name in CHAPTERS if calls(name, ".static()")]
FILMS = [name for name in CHAPTERS if calls(name, ".html()")]


@in_turn("chapter", EXPLORERS)
def test_the_explorer_moves_by_keyboard(reader: Reader, chapter: str) -> None:
    page = reader.open(f"chapters/{chapter}")
    images = page.locator(".medpriv-explorer").all()
    defenses = page.locator(".medpriv-defenses").all()
    where = f"{chapter} at {reader.setting}"
    found = len(images) + len(defenses)
    assert found == calls(chapter, ".static()"), f"{where}: {found} explorers"
    for explorer in images:
        _explore(explorer, where)
    for explorer in defenses:
        _explore_defenses(explorer, where)
    assert not reader.errors, f"{where}: {reader.errors}"


@in_turn("chapter", FILMS)
def test_a_film_plays_and_moves_by_keyboard(reader: Reader, chapter: str) -> None:
    page = reader.open(f"chapters/{chapter}")
    films = page.locator(".medpriv-film").all()
    where = f"{chapter} at {reader.setting}"
    assert len(films) == calls(chapter, ".html()"), f"{where}: {len(films)} films"
    for film in films:
        frames = json.loads(film.locator("script[type='application/json']").text_content() or "")
        step, shown = film.locator("input[type=range]"), film.locator("output")
        end = shown.inner_text()
        step.focus()
        page.keyboard.press("Home")
        assert shown.inner_text() == str(frames["frames"][0]["step"]), where
        film.locator("button").click()
        expect(shown).to_have_text(end, timeout=15_000)
        expect(film.locator("button")).to_have_text("Play")
    assert not reader.errors, f"{where}: {reader.errors}"


def _explore(explorer: Locator, where: str) -> None:
    page = explorer.page
    data = json.loads(explorer.locator('script[type="application/json"]').text_content() or "")
    victim, split = explorer.locator("input[type=range]").all()
    # Only what is in the tab order gets the focus back.
    victim.focus()
    page.keyboard.press("Shift+Tab")
    assert not _focused(victim), f"{where}: the focus is caught in the explorer"
    page.keyboard.press("Tab")
    assert _focused(victim), f"{where}: Tab does not reach the victims' slider"
    page.keyboard.press("Tab")
    assert _focused(split), f"{where}: Tab does not go on to the layers' slider"

    seen = [_see(explorer)]
    for name in data["splits"][1:]:
        page.keyboard.press("ArrowRight")
        seen.append(_see(explorer))
        _check(seen[-1], data, 1, name, where)
    same = ("original", "original alt", "nearest", "baseline", "victim")
    for key in ("guess", "guess alt", "score", "split"):
        assert len({now[key] for now in seen}) == len(seen), f"{where}: {key} stays with the layer"
    assert all(now[key] == seen[0][key] for now in seen for key in same), f"{where}: victim moved"

    victim.focus()
    seen = [_see(explorer)]
    for number in range(2, len(data["victims"]) + 1):
        page.keyboard.press("ArrowRight")
        seen.append(_see(explorer))
        _check(seen[-1], data, number, data["splits"][-1], where)
    for key in ("original", "original alt", "guess", "guess alt", "nearest alt", "victim"):
        assert len({now[key] for now in seen}) == len(seen), f"{where}: {key} stays with the victim"
    # Two victims may have the same score in two decimals; not all of them.
    assert len({now["score"] for now in seen}) > 1, f"{where}: the score stays with the victim"


def _explore_defenses(explorer: Locator, where: str) -> None:
    page = explorer.page
    data = json.loads(explorer.locator('script[type="application/json"]').text_content() or "")
    chosen = [
        explorer.locator(f'select[name="{name}"]') for name in ("attack", "defense", "victim")
    ]
    said = explorer.locator('[data-part="said"]')
    heard = [said.inner_text()]
    for choice in chosen:
        choice.focus()
        page.keyboard.press("ArrowDown")
        heard.append(said.inner_text())
    assert len(set(heard)) == len(heard), f"{where}: a list changes nothing: {heard}"
    strength = explorer.locator('select[name="strength"]').input_value()
    attack, defense, victim = (choice.input_value() for choice in chosen)
    (row,) = [
        row
        for row in data["rows"]
        if (row["attack"], row["defense"], row["strength"]) == (attack, defense, strength)
    ]
    at = int(victim) - 1
    for part, cell in {
        "naive": row["naive"][at],
        "adaptive": row["adaptive"][at],
        "baseline": data["baseline"][at],
    }.items():
        image = explorer.locator(f'[data-part="{part}"]')
        assert image.get_attribute("src") == cell["image"], f"{where}: another picture in {part}"
        score = explorer.locator(f'[data-part="{part}-score"]')
        assert score.inner_text() == cell["score"], f"{where}: another score in {part}"


def _see(explorer: Locator) -> dict[str, str]:
    return explorer.evaluate(
        """async box => {
          const part = name => box.querySelector(`[data-part="${name}"]`);
          const images = ['original', 'guess', 'nearest'];
          await Promise.all(images.map(name => part(name).decode()));
          return {
            ...Object.fromEntries(images.map(name => [name, part(name).src])),
            ...Object.fromEntries(images.map(name => [name + ' alt', part(name).alt])),
            score: part('score').textContent,
            baseline: part('baseline').textContent,
            victim: box.querySelectorAll('output')[0].textContent,
            split: box.querySelectorAll('output')[1].textContent,
          };
        }"""
    )


def _check(now: dict[str, str], data: dict, victim: int, split: str, where: str) -> None:
    row = data["victims"][victim - 1]
    wanted = {
        "original": row["original"],
        "guess": row["guesses"][split]["image"],
        "score": row["guesses"][split]["score"],
        "nearest": row["nearest"]["image"],
        "baseline": row["nearest"]["score"],
        "victim": str(victim),
        "split": split,
    }
    wrong = {key for key, value in wanted.items() if now[key] != value}
    assert not wrong, f"{where}: victim {victim} at {split} shows another {', '.join(wrong)}"


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
