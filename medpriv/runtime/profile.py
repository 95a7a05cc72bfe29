"""The sizes of a run, and how much of everything each of them allows: all budgets in one table."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from medpriv.runtime.arguments import choose

#: The sizes of a run. ``smoke`` proves in seconds that it runs, ``quick`` is what the book shows,
#: ``full`` has more patients, and longer training and attacks.
PROFILES = ("smoke", "quick", "full")

T = TypeVar("T")


def check_profile(profile: str) -> str:
    """Return ``profile`` if it is one of :data:`PROFILES`, else raise ``ValueError``."""
    return choose(profile, PROFILES, "profile")


class Budget(NamedTuple, Generic[T]):
    """How much of one thing each profile allows."""

    smoke: T
    quick: T
    full: T

    def of(self, profile: str) -> T:
        """What a profile allows.

        Raises:
            ValueError: the profile is unknown.
        """
        return getattr(self, check_profile(profile))


# --- Patients: in members, auxiliary, victims and test; None takes all that there are -----------

PHANTOM_PATIENTS = Budget((40, 30, 8, 20), (600, 540, 60, 200), (2400, 2400, 200, 800))
WARFARIN_PATIENTS = Budget(
    (300, 200, 60, 200), (3000, 5000, 1000, 2000), (20000, 20000, 5000, 10000)
)
REPORT_PATIENTS = Budget((80, 60, 20, 60), (900, 900, 200, 400), (4000, 4000, 500, 1000))
CARDIO_PATIENTS = Budget((300, 300, 60, 200), (6000, 6000, 1000, 3000), None)
MEDMNIST_IMAGES = Budget((100, 80, 20, 60), (1200, 1200, 100, 400), None)

# --- Training: epochs of target models, copies of each picture, steps ---------------------------

IMAGE_TARGET_EPOCHS = Budget(2, 15, 40)
RECORD_TARGET_EPOCHS = Budget(4, 20, 40)
REPORT_TARGET_EPOCHS = Budget(10, 60, 100)
RECOGNISER_COPIES = Budget(2, 20, 100)
MATCHER_STEPS = Budget(20, 400, 4_000)

# --- Attacks: steps of training or search, and queries ------------------------------------------

INVERSE_STEPS = Budget(20, 1_000, 20_000)
INVERSE_RATE = Budget(1e-4, 1e-3, 1e-3)
INVERSE_QUERIES = Budget(100, 2_000, 20_000)
SEARCH_STEPS = Budget(10, 300, 5_000)
CLASS_STEPS = Budget(10, 200, 1_000)  # of a class inversion that is compared
TUNING_STEPS = Budget(5, 100, 300)  # of a search that chooses the weight of its prior
SHADOW_FRONT_STEPS = Budget(20, 560, 5_000)
WRITER_STEPS = Budget(30, 280, 12_000)
WRITER_BATCH = Budget(16, 16, 64)
WRITER_QUERIES = Budget(80, 1_200, 20_000)
WRITER_QUERIES_COMPARED = Budget(80, 1_000, 20_000)  # of the decoder in a comparison

# --- Defenses -----------------------------------------------------------------------------------

LEARNED_NOISE_STEPS = Budget(10, 300, 2_000)
ADAPTER_EPOCHS = Budget(5, 60, 100)
FURTHER_STEPS = Budget(3, 80, 1_000)  # of a trained target, beside an opponent or a penalty
PRIVATE_EPOCHS_COMPARED = Budget(1, 20, 40)  # of private training in a comparison
