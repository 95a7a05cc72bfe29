"""Three boards: victims by split layer, a search as a film, what defenses leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from IPython.display import HTML
from torch import Tensor

from medpriv.course.board import Control, Frame, Picture, board, pictures, png, scores
from medpriv.course.figures import strip


@dataclass(frozen=True)
class Explorer:
    """Choose a victim and a split layer, see original and reconstruction with their scores.

    Attributes:
        originals: ``(n, c, h, w)`` float32 in [0, 1], the victims' images, c being 1 or 3.
        guesses: reconstructions of the same shape by split layer, from shallow to deep.
        nearest: the auxiliary image closest to each original.
    """

    originals: Tensor
    guesses: Mapping[str, Tensor]
    nearest: Tensor

    def show(self, victim: int, split: str) -> None:
        """Draw one victim at one split layer; made for ``ipywidgets.interact``.

        Args:
            victim: from 1 to n.
            split: a key of ``guesses``.
        """
        row = slice(victim - 1, victim)
        truth, guess, nearest = self.originals[row], self.guesses[split][row], self.nearest[row]
        strip(
            {"original": truth[0], "reconstruction": guess[0], "closest auxiliary": nearest[0]},
            {
                "reconstruction": scores(truth, guess)[0],
                "closest auxiliary": scores(truth, nearest)[0],
            },
        )

    def static(self, rows: slice = slice(None)) -> HTML:
        """The same for some of the victims as a figure with two sliders that needs no kernel."""
        truth = self.originals[rows]
        victims = tuple(str(n + 1) for n in range(len(truth)))
        originals = pictures(truth, [f"Original image of victim {one}" for one in victims])
        closest = [f"Auxiliary image closest to victim {one}" for one in victims]
        nearest = pictures(self.nearest[rows], closest, truth)
        frames = []
        for split, guess in self.guesses.items():
            alts = [f"Reconstruction of victim {one} from {split}" for one in victims]
            found = pictures(guess[rows], alts, truth)
            for victim, *seen in zip(victims, originals, found, nearest, strict=True):
                frames.append(Frame((victim, split), tuple(seen)))
        controls = [Control("Victim", victims), Control("Split layer", tuple(self.guesses))]
        captions = {"original": False, "reconstruction": True, "closest auxiliary image": False}
        return board("explorer", controls, captions, frames)


def film(original: Tensor, steps: tuple[int, ...], courses: Mapping[str, Tensor]) -> HTML:
    """Watch a search for an image: what the attacker has after each number of steps, by layer.

    Nothing plays until a reader asks for it; what is shown first is the end of the search.

    Args:
        original: ``(c, h, w)`` float32 in [0, 1], the victim's image, c being 1 or 3.
        steps: the numbers of steps after which the images were kept, ascending; 0 is the start.
        courses: the images on the way by split layer, from shallow to deep, each
            ``(len(steps), c, h, w)`` float32 in [0, 1].

    Raises:
        ValueError: there is no step or no split, steps do not ascend, shapes do not match, or an
            image is not in [0, 1], or smaller than SSIM's window of 11 pixels.
    """
    _check_course(original, steps, courses)
    positions = tuple(map(str, steps))
    told = tuple(f"after {step} step{'' if step == 1 else 's'}" for step in steps)
    columns = [[Picture(png(original), "Original image")] * len(steps)]
    for split, course in courses.items():
        alts = [f"Recovery from {split} {one}" for one in told]
        columns.append(pictures(course, alts, original.expand_as(course)))
    frames = [
        Frame((step,), pictures)
        for step, pictures in zip(positions, zip(*columns, strict=True), strict=True)
    ]
    captions = {"original": False} | dict.fromkeys(courses, True)
    step = Control("Step", positions, told)
    return board("film", [step], captions, frames, start=-1, plays=True)


def _check_course(original: Tensor, steps: tuple[int, ...], courses: Mapping[str, Tensor]) -> None:
    if original.ndim != 3:
        raise ValueError(f"original must be one image (c, h, w), got {tuple(original.shape)}")
    if not steps or any(after <= before for before, after in pairwise(steps)):
        raise ValueError(f"steps must be at least one number, ascending, got {steps}")
    if not courses:
        raise ValueError("courses must hold the images of at least one split layer, got none")
    wanted = (len(steps), *original.shape)
    for split, course in courses.items():
        if tuple(course.shape) != wanted:
            raise ValueError(
                f"the course at {split} must be {wanted}, an image like the original for each of "
                f"the steps, got {tuple(course.shape)}"
            )


@dataclass(frozen=True)
class Shown:
    """What an attack leaves of a defense.

    Attributes:
        attack: its name.
        defense: its name.
        strength: as it is to be read, such as ``sigma 0.05``; unique for attack and defense.
        naive: ``(n, c, h, w)`` float32 in [0, 1], by the attacker who does not know of it.
        adaptive: the same by the one who adapts.
        utility: AUC of what an honest client gets.
    """

    attack: str
    defense: str
    strength: str
    naive: Tensor
    adaptive: Tensor
    utility: float


def defense_explorer(originals: Tensor, baseline: Tensor, shown: Sequence[Shown]) -> HTML:
    """Choose attack, defense and strength: what either attacker makes of a victim, and its cost.

    Args:
        originals: ``(n, c, h, w)`` float32 in [0, 1], a few victims; pictures of made-up patients
            only.
        baseline: the same guess without the model, of the same shape.
        shown: what there is to choose; the first is shown first.

    Raises:
        ValueError: there is nothing to show, or one choice is there twice.
    """
    choices = [(one.attack, one.defense, one.strength) for one in shown]
    if not choices or len(set(choices)) < len(choices):
        raise ValueError("expected one or more choices of attack, defense and strength, each "
                         f"once, got {choices}")  # fmt: skip
    victims = [str(n + 1) for n in range(len(originals))]
    truth = pictures(originals, [f"Original image of victim {one}" for one in victims])
    without = pictures(baseline, ["The same guess without the model"] * len(victims), originals)
    unaware = "What an attacker who does not know of the defense makes of victim"
    adapts = "What an attacker who adapts to the defense makes of victim"
    frames = []
    for one, choice in zip(shown, choices, strict=True):
        naive = pictures(one.naive, [f"{unaware} {n}" for n in victims], originals)
        adaptive = pictures(one.adaptive, [f"{adapts} {n}" for n in victims], originals)
        for victim, *seen in zip(victims, truth, naive, adaptive, without, strict=True):
            frames.append(Frame((*choice, victim), tuple(seen), _sentence(one, *seen[1:])))
    controls = [Control(label) for label in ("Attack", "Defense", "Strength", "Victim")]
    names = ("original", "does not know of it", "adapts", "without the model")
    return board("defenses", controls, dict.fromkeys(names, False), frames)


def _sentence(one: Shown, naive: Picture, adaptive: Picture, without: Picture) -> str:
    return (
        f"{one.attack} against {one.defense}, {one.strength}: {naive.score} for the attacker who "
        f"does not know of it, {adaptive.score} for the one who adapts, {without.score} without "
        f"the model. Utility: AUC {one.utility:.2f}."
    )
