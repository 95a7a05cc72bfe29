"""Attacks: each takes a view and auxiliary data, and guesses."""

from medpriv.attacks.answer_patterns import fit_patterns, pattern_posterior
from medpriv.attacks.attribute_cases import confidence_cases, label_only, right_candidates
from medpriv.attacks.attribute_map import (
    agreement_posterior,
    confidence_posterior,
    confusion,
    map_posterior,
    map_posterior_of_number,
    membership_posterior,
)
from medpriv.attacks.attribute_neurons import Neurons, fit_neurons
from medpriv.attacks.averaging import Averaged, averaged, majority_right, neighbours
from medpriv.attacks.candidates import Sensitive, ask_candidates, sensitive
from medpriv.attacks.class_inversion import ClassInversion, invert_classes, mi_face, should_stop
from medpriv.attacks.embedding_facts import (
    FactReader,
    fit_cooccurrence,
    fit_fact_reader,
    prevalence,
)
from medpriv.attacks.gradients import Probe
from medpriv.attacks.imputation import Imputer, fit_imputer, marginal_prior
from medpriv.attacks.inverse_network import InverseNetwork, fit_inverse_network, inverse_recipe
from medpriv.attacks.masked_terms import (
    Hidden,
    LanguageModel,
    TermImputer,
    ask_terms,
    fit_language_model,
    fit_term_imputer,
    mask_terms,
)
from medpriv.attacks.membership import (
    Shadows,
    best_threshold,
    lira,
    lira_attack,
    loss_attack,
    losses,
    shadow_attack,
    train_shadows,
    true_margin,
)
from medpriv.attacks.moves import moved_copies
from medpriv.attacks.query_free import ShadowFront, fit_shadow_front, shadow_recipe
from medpriv.attacks.report_corrector import Correction, correct_reports
from medpriv.attacks.report_decoder import (
    ReportDecoder,
    fit_report_decoder,
    nearest_report,
    writer_recipe,
)
from medpriv.attacks.rmle import (
    Recovery,
    Search,
    choose_tv_weight,
    choose_tv_weight_through,
    recover,
    recover_through,
    search_steps,
)
from medpriv.attacks.slot_reader import SlotReader, fit_slot_reader
from medpriv.attacks.statement_reader import StatementReader, fit_statement_reader
from medpriv.attacks.token_words import TokenReader, fit_token_reader
from medpriv.attacks.varied_reports import varied_reports
from medpriv.attacks.word_evidence import (
    TextMap,
    WordEvidence,
    fit_text_map,
    fit_word_evidence,
    word_shares,
)
from medpriv.attacks.writing import beam_search, draw_reports

__all__ = [
    "Averaged",
    "ClassInversion",
    "Correction",
    "FactReader",
    "Hidden",
    "Imputer",
    "InverseNetwork",
    "LanguageModel",
    "Neurons",
    "Probe",
    "Recovery",
    "ReportDecoder",
    "Search",
    "Sensitive",
    "ShadowFront",
    "Shadows",
    "SlotReader",
    "StatementReader",
    "TermImputer",
    "TextMap",
    "TokenReader",
    "WordEvidence",
    "agreement_posterior",
    "ask_candidates",
    "ask_terms",
    "averaged",
    "beam_search",
    "best_threshold",
    "choose_tv_weight",
    "choose_tv_weight_through",
    "confidence_cases",
    "confidence_posterior",
    "confusion",
    "correct_reports",
    "draw_reports",
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
    "fit_text_map",
    "fit_token_reader",
    "fit_word_evidence",
    "inverse_recipe",
    "invert_classes",
    "label_only",
    "lira",
    "lira_attack",
    "loss_attack",
    "losses",
    "majority_right",
    "map_posterior",
    "map_posterior_of_number",
    "marginal_prior",
    "mask_terms",
    "membership_posterior",
    "mi_face",
    "moved_copies",
    "nearest_report",
    "neighbours",
    "pattern_posterior",
    "prevalence",
    "recover",
    "recover_through",
    "right_candidates",
    "search_steps",
    "sensitive",
    "shadow_attack",
    "shadow_recipe",
    "should_stop",
    "train_shadows",
    "true_margin",
    "varied_reports",
    "word_shares",
    "writer_recipe",
]
