"""The data sets that the three calls know by name."""

from __future__ import annotations

from medpriv.data.cohort import Modality
from medpriv.runtime.arguments import choose

# Written out because importing medmnist to list them makes a folder in the reader's home.
MEDMNIST = (
    "pathmnist",
    "chestmnist",
    "dermamnist",
    "octmnist",
    "pneumoniamnist",
    "retinamnist",
    "breastmnist",
    "bloodmnist",
    "tissuemnist",
    "organamnist",
    "organcmnist",
    "organsmnist",
)
VOLUMES = (
    "organmnist3d",
    "nodulemnist3d",
    "adrenalmnist3d",
    "fracturemnist3d",
    "vesselmnist3d",
    "synapsemnist3d",
)

# Embedded first. The reader's own file is named by its path instead.
DATASETS: dict[Modality, tuple[str, ...]] = {
    "images": ("phantom", "mias", *MEDMNIST),
    "records": ("warfarin", "heart", "cardio"),
    "reports": ("synthetic", "openi"),
}


def known_datasets(modality: Modality) -> tuple[str, ...]:
    """The names that ``load_images``, ``load_records`` or ``load_reports`` takes, embedded first.

    Raises:
        ValueError: the modality is unknown.
    """
    return DATASETS[choose(modality, DATASETS, "modality")]
