"""Attacks of some milliseconds, for the tests of how a comparison runs.

Here, because the processes of a cluster can import them from here.
"""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

from torch import nn

from medpriv.deployment import View
from medpriv.evaluation import NOTHING, Case, trained
from medpriv.evaluation.attacks import Attack
from medpriv.evaluation.targets import plain_target
from medpriv.statistics import Estimate
from medpriv.training.utility_scores import predict


def counted(fitted_on: View, used_on: View, case: Case, *, folder: str) -> Estimate:
    """A figure that follows from the answers. Each run is a line in ``runs``.

    With seed 1 it stops, fails or loses its process, as a file of that name in the folder says.
    """
    here = Path(folder)
    with (here / "runs").open("a") as log:
        log.write(f"{case.seed}\n")
    if case.seed == 1:
        if (here / "stop").exists():
            raise KeyboardInterrupt
        if (here / "fail").exists():
            raise RuntimeError("the disk is on fire")
        if (here / "kill").exists():
            (here / "kill").unlink()
            os.kill(os.getpid(), signal.SIGKILL)
    own = fitted_on(case.cohort.auxiliary.x).double().mean()
    told = used_on.intercept(case.cohort.victims.x).double().mean()
    return Estimate(float(told + own), float(told + own) - 1, float(told + own) + 1)


def told_truly(fitted_on: View, used_on: View, case: Case) -> Estimate:
    """How often the answer is what the undefended model says, over members, ten times each."""
    x = case.cohort.members.x
    truth = predict(trained(case, NOTHING), x).argmax(1).repeat(10)
    share = (used_on(x.repeat(10, *[1] * (x.ndim - 1))) == truth).double().mean()
    return Estimate(float(share), float(share), float(share))


def nothing_known(case: Case) -> Estimate:
    return Estimate(0.0, 0.0, 0.0)


def lucky(fitted_on: View, used_on: View, case: Case, *, luck: float) -> Estimate:
    """A figure whose interval reaches 0.2 to either side; in seed 1 it has luck."""
    middle = luck if case.seed == 1 else 0.0
    return Estimate(middle, middle - 0.2, middle + 0.2)


def guessing(name: str, luck: float) -> Attack:
    """An attack that is no better than its baseline, which is 0, but for some luck in seed 1."""
    run = partial(lucky, luck=luck)
    return Attack(name, "records", "scores", run, nothing_known, "luck", fits=False)


def counting(folder: Path, name: str = "counted", needs: str = "label") -> Attack:
    """The attack that counts its runs in this folder."""
    run = partial(counted, folder=str(folder))
    return Attack(name, "records", needs, run, nothing_known, "sum of means")


def runs(folder: Path) -> list[int]:
    """The seeds of the runs so far, in their order."""
    log = folder / "runs"
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def other_layers(case: Case, strength: float) -> nn.Module:
    """A recipe that gives another kind of model."""
    return nn.Sequential(nn.Linear(case.cohort.members.x.shape[1], len(case.cohort.classes)))


def logged_target(case: Case, strength: float, *, folder: str) -> nn.Module:
    """A recipe that writes a line each time that it trains."""
    with (Path(folder) / "trained").open("a") as log:
        log.write(f"{case.seed}\n")
    return plain_target(case)
