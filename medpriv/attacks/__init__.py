"""Attacks: each takes a view and auxiliary data, and guesses."""

from medpriv.attacks import membership
from medpriv.attacks.averaging import averaged, majority_right, neighbours
from medpriv.attacks.images.class_inversion import invert_classes, mi_face
from medpriv.attacks.images.gradients import Probe
from medpriv.attacks.images.inversion_with_weights import (
    Search,
    choose_tv_weight,
    recover,
)
from medpriv.attacks.images.inversion_without_queries import fit_shadow_front
from medpriv.attacks.images.model_inversion import fit_inverse_network, inverse_recipe
from medpriv.attacks.records.answer_patterns import fit_patterns, pattern_posterior
from medpriv.attacks.records.attribute_inference import (
    agreement_posterior,
    confidence_posterior,
    confusion,
    map_posterior,
    membership_posterior,
)
from medpriv.attacks.records.candidate_values import ask_candidates, sensitive
from medpriv.attacks.records.confidence_cases import confidence_cases, label_only
from medpriv.attacks.records.imputation import fit_imputer, marginal_prior
from medpriv.attacks.records.neurons import fit_neurons
from medpriv.attacks.reports.attribute_inference import fit_cooccurrence, fit_fact_reader
from medpriv.attacks.reports.masked_terms import (
    ask_terms,
    fit_language_model,
    fit_term_imputer,
    mask_terms,
)
from medpriv.attacks.reports.recombination import varied_reports
from medpriv.attacks.reports.report_corrector import correct_reports
from medpriv.attacks.reports.report_reconstruction import fit_report_decoder, nearest_report
from medpriv.attacks.reports.slot_reader import fit_slot_reader
from medpriv.attacks.reports.statement_reader import fit_statement_reader
from medpriv.attacks.reports.token_reader import fit_token_reader

__all__ = [
    "Probe",
    "Search",
    "agreement_posterior",
    "ask_candidates",
    "ask_terms",
    "averaged",
    "choose_tv_weight",
    "confidence_cases",
    "confidence_posterior",
    "confusion",
    "correct_reports",
    "fit_cooccurrence",
    "fit_fact_reader",
    "fit_imputer",
    "fit_inverse_network",
    "fit_language_model",
    "fit_neurons",
    "fit_patterns",
    "fit_report_decoder",
    "fit_shadow_front",
    "fit_slot_reader",
    "fit_statement_reader",
    "fit_term_imputer",
    "fit_token_reader",
    "inverse_recipe",
    "invert_classes",
    "label_only",
    "majority_right",
    "map_posterior",
    "marginal_prior",
    "mask_terms",
    "membership",
    "membership_posterior",
    "mi_face",
    "nearest_report",
    "neighbours",
    "pattern_posterior",
    "recover",
    "sensitive",
    "varied_reports",
]
