"""Report reconstruction measured: its training loop, its beam, and how far it comes on Open-i."""

from __future__ import annotations

import numpy as np
import torch
from timing import timed

from medpriv import attacks, data, deployment, metrics
from medpriv.data import normalise_text
from medpriv.data.synthetic_reports import make_reports
from medpriv.models import (
    ReportWriter,
    Vocabulary,
    build_target,
    packed,
    writing_loss,
)
from medpriv.runtime import autocast, pick_device, seeded, torch_rng
from medpriv.training import Recipe, fit

WORDS = 40  # to which Open-i's reports are cut
LONG = Recipe(epochs=10, batch_size=16, learning_rate=4e-3, weight_decay=1e-2)


def training_loop() -> list[dict[str, object]]:
    """The decoder's training loop against the bare passes and steps on the same reports."""
    texts = tuple(make_reports(640, seed=0)["text"])
    vocabulary = Vocabulary.of(texts)
    report = vocabulary.table(texts, longest=60)
    report = report[(report != 0).all(1)]  # of one length, so that neither side pads
    draw = torch_rng(0, "bench")
    rows = packed(
        torch.randn(len(report), 384, generator=draw),
        torch.randn(len(report), len(vocabulary), generator=draw),
        report,
    )

    def fresh() -> ReportWriter:
        with seeded(0, "bench"):
            return ReportWriter(384, len(vocabulary))

    def ours() -> None:
        recipe = Recipe(2, batch_size=16)
        lengths = (report != 0).sum(1)
        fit(
            fresh(), rows, report, loss=writing_loss, recipe=recipe, seed=0, device="cpu",
            lengths=lengths,
        )  # fmt: skip

    def bare() -> None:
        device = pick_device("cpu")
        model = fresh().train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
        batches = list(zip(rows.split(16), report.split(16), strict=True))
        for _ in range(2):
            for x, y in batches:
                with autocast(device):
                    output = model(x)
                optimizer.zero_grad(set_to_none=True)
                writing_loss(output.float(), y).backward()
                optimizer.step()

    runs = [(timed(ours)[0], timed(bare)[0]) for _ in range(3)]
    first, second = (float(np.median(column)) for column in zip(*runs, strict=True))
    said = f"the bare passes and steps; {2 * report.numel() / first:,.0f} tokens/s"
    return [{"what": "training loop of the decoder", "ours": first, "peer": second, "is": said}]


def on_openi() -> list[dict[str, object]]:
    """Truly unseen reports of Open-i, cut to 40 words: nearest report, decoder, corrector."""
    try:
        cohort = data.load_reports("openi", profile="full", seed=0)
    except (data.DataError, OSError) as error:
        print(f"rows on openi are left out: {error}")
        return []
    own, victims, who = unseen(cohort)
    view = deployment.deploy(build_target(cohort), expose="embedding")
    spent, decoder = timed(
        lambda: attacks.fit_report_decoder(view, own, queries=4_000, recipe=LONG, device="cpu")
    )
    there = view.intercept(victims)
    nearest = attacks.nearest_report(decoder, there)
    batch, guess = timed(lambda: decoder.guess(there))
    alone, same = timed(lambda: tuple(decoder.guess(row[None])[0] for row in there))
    agree = metrics.exact_match(guess, same).mean()
    steps, states = timed(lambda: attacks.correct_reports(decoder, view, there))

    def said(found: tuple[str, ...]) -> str:
        f1 = metrics.token_f1(victims, found)
        gain = metrics.difference(f1, metrics.token_f1(victims, nearest), who)
        exact = metrics.mean_estimate(metrics.exact_match(victims, found), who)
        return f"F1 {metrics.mean_estimate(f1, who)}, over nearest {gain}, exact {exact}"

    nothing = float("nan")
    rows = [
        {"what": f"nearest of {len(own)} reports, {len(victims)} victims", "ours": nothing,
         "peer": nothing, "is": said(nearest)},
        {"what": "decoder, 4,000 queries, training included", "ours": spent, "peer": 300.0,
         "is": f"the 5 minutes asked for; {said(guess)}"},
        {"what": "beam search, all victims in one batch", "ours": batch, "peer": alone,
         "is": f"one at a time; {agree:.0%} the same text"},
    ]  # fmt: skip
    for state in states:
        rows.append(
            {"what": f"corrector, {state.queries} queries a victim",
             "ours": steps * state.queries / states[-1].queries, "peer": nothing,
             "is": f"{said(state.reports)}, cosine {state.closeness.mean():.3f}"}
        )  # fmt: skip
    return rows


def unseen(cohort: data.Cohort) -> tuple[tuple[str, ...], tuple[str, ...], np.ndarray]:
    """All but the victims as the attacker's, cut; victims whose cut text he does not have."""

    def cut(text: str) -> str:
        return " ".join(text.split()[:WORDS])

    parts = (cohort.members, cohort.auxiliary, cohort.test)
    own = tuple(cut(text) for part in parts for text in part.x)
    known = {normalise_text(text) for text in own}
    new = [
        row for row, text in enumerate(cohort.victims.x) if normalise_text(cut(text)) not in known
    ]
    victims = cohort.victims.take(new)
    return own, tuple(cut(text) for text in victims.x), victims.patient


PARTS = (training_loop, on_openi)
