"""The target model that belongs to a cohort."""

from __future__ import annotations

from torch import nn

from medpriv.data.cohort import Cohort
from medpriv.models.images import ImageCNN
from medpriv.models.records import RecordMLP
from medpriv.models.reports import PACKAGED, ReportClassifier, ReportEncoder
from medpriv.runtime.seeds import seeded


def build_target(cohort: Cohort, *, seed: int = 0, encoder: str = PACKAGED) -> nn.Module:
    """The untrained target model for a cohort: the CNN, the MLP or the report classifier.

    Args:
        cohort: decides kind, sizes and number of classes.
        seed: decides the initial weights.
        encoder: of reports, as :class:`medpriv.models.ReportEncoder` takes it.
    """
    classes = len(cohort.classes)
    with seeded(seed, "target"):
        if cohort.modality == "images":
            channels, size = cohort.members.x.shape[1:3]
            return ImageCNN(size=size, channels=channels, classes=classes)
        if cohort.modality == "records":
            return RecordMLP(cohort.columns, cohort.members.x, classes=classes)
        return ReportClassifier(ReportEncoder(encoder), classes=classes)
