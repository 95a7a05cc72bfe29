"""Synthetic chest-radiograph reports with facts that a patient would not want to leak.

Every patient is drawn first (name, age, sex, ten facts, a finding), then a report is written about
exactly these facts from small grammars. So the truth is known for every sentence, no patient is
real, and no two reports share more than a template.

Facts depend on each other as they do in a clinic: HIV and depression are more common with
substance use, opportunistic pneumonia with HIV, edema with heart failure. All rates are constants
below. The sensitive ones are **enriched for teaching**, several times above the population, so
that an attack on 4,000 reports has enough positive cases to be measured.

The names are combined at random from two hand-written lists of mixed origin. A match with a living
person is chance.

Grammar: ``[a|b|c]`` stands for one of the alternatives, and may be nested; ``{slot}`` is filled
from the patient. Both the findings and the impression read the same slots, so they agree on side,
lobe and size.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from numbers import Integral
from typing import Final, TypeVar

import numpy as np
import pandas as pd

from medpriv.data.text import normalise_text

SENSITIVE_FACTS: Final = ("hiv", "depression", "substance_use", "pregnancy")
COMORBIDITIES: Final = ("diabetes", "hypertension", "smoker", "copd", "heart_failure", "cancer")
FACTS: Final = SENSITIVE_FACTS + COMORBIDITIES
FINDINGS: Final = (
    "none",
    "pneumonia",
    "effusion",
    "edema",
    "pneumothorax",
    "fracture",
    "nodule",
    "atelectasis",
    "cardiomegaly",
    "emphysema",
)

_T = TypeVar("_T")

_MAX_PATIENTS: Final = 100_000  # identifiers have five digits
_WORDS: Final = (40, 90)
_MOST_SENTENCES: Final = 8
_ATTEMPTS: Final = 1_000

# ------------------------------------------------------------------ rates, enriched for teaching

FEMALE_SHARE: Final = 0.52
AGE_MEAN, AGE_SD, AGE_RANGE = 50.0, 19.0, (18, 94)

SUBSTANCE_USE_RATE: Final = {"under 60": 0.17, "60 and over": 0.06}
HIV_RATE: Final = {"no substance use": 0.05, "substance use": 0.20}
DEPRESSION_RATE: Final = {"base": 0.10, "woman": 0.06, "substance use": 0.20, "hiv": 0.12}  # added
PREGNANCY_RATE: Final = {"under 40": 0.32, "40 and over": 0.05}  # of women of these ages
PREGNANCY_AGES: Final = (18, 48)
SMOKER_RATE: Final = {"base": 0.16, "substance use": 0.30}  # added
CANCER_RATE: Final = {"under 50": 0.03, "50 and over": 0.10}

# Weight of each (finding, acute) before the facts below multiply it.
FINDING_WEIGHT: Final = {
    ("none", 0): 0.30,
    ("pneumonia", 1): 0.13,
    ("effusion", 1): 0.07,
    ("edema", 1): 0.05,
    ("pneumothorax", 1): 0.05,
    ("fracture", 1): 0.05,
    ("nodule", 1): 0.05,
    ("atelectasis", 1): 0.05,
    ("cardiomegaly", 1): 0.03,
    ("cardiomegaly", 0): 0.05,
    ("nodule", 0): 0.05,
    ("fracture", 0): 0.04,
    ("effusion", 0): 0.04,
    ("emphysema", 0): 0.03,
    ("atelectasis", 0): 0.04,
}
FINDING_FACTOR: Final = {
    "hiv": {("pneumonia", 1): 2.5, ("nodule", 1): 1.3},
    "substance_use": {("pneumonia", 1): 1.4, ("fracture", 1): 1.8, ("pneumothorax", 1): 1.3},
    "pregnancy": {("none", 0): 1.5, ("emphysema", 0): 0.0},
    "smoker": {("nodule", 1): 1.5, ("emphysema", 0): 2.0},
    "copd": {("emphysema", 0): 6.0, ("pneumothorax", 1): 1.6, ("pneumonia", 1): 1.4},
    "heart_failure": {("edema", 1): 5.0, ("effusion", 1): 2.5, ("cardiomegaly", 0): 5.0},
    "hypertension": {("cardiomegaly", 0): 1.6, ("cardiomegaly", 1): 1.6},
    "cancer": {("nodule", 1): 3.0, ("effusion", 1): 2.0},
}
# Kind of pneumonia: (lobar, interstitial, aspiration).
PNEUMONIA_KINDS: Final = ("lobar", "interstitial", "aspiration")
PNEUMONIA_KIND_RATE: Final = {
    "hiv": (0.32, 0.60, 0.08),
    "substance_use": (0.55, 0.12, 0.33),
    "neither": (0.80, 0.12, 0.08),
}
NAME_IN_TEXT_RATE: Final = 0.5

# ------------------------------------------------------------------ names

_FEMALE_NAMES = """
Adaeze Agnes Aiko Alina Amara Anneke Astrid Aylin Beatriz Birgit Bronwen Camila Chiara Chloe
Clara Daria Delphine Divya Edith Eleni Elif Efua Esperanza Fatima Femke Fiona Freya Gabriela
Greta Gudrun Halima Hana Helga Imani Ines Ingrid Irina Isolde Jamila Janelle Jia Johanna Judit
Kavita Katarina Keiko Ksenia Lakshmi Latoya Leila Linnea Lucia Magda Maeve Malika Marisol Marta
Mei Mirela Miriam Nadia Nalini Neha Ngozi Noor Nora Odile Olga Paloma Petra Priya Rania Renata
Rosalind Sabine Saoirse Shanice Signe Soledad Svetlana Tamika Tatiana Thandiwe Ursula Valentina
Vera Wanjiru Xiomara Yasmin Yuki Zainab Zofia
"""
FEMALE_NAMES: Final = tuple(_FEMALE_NAMES.split())
_MALE_NAMES = """
Abdul Adrian Ahmed Akira Aleksander Alvaro Anders Andrzej Arjun Arturo Babak Baptiste Bashir
Bogdan Boris Brendan Callum Carlos Cedric Chidi Ciaran Cyrus Damien Darnell Deepak Desmond Diego
Dmitri Eamon Edmund Eduardo Emil Enrique Esteban Farid Felix Fergus Florian Gareth Georgi Gustav
Hamid Harold Hassan Hiroshi Hugo Ibrahim Idris Igor Ivan Jakub Jamal Javier Jerome Joaquin Jonas
Kaito Kamil Karim Kenji Kofi Kwame Lamar Lars Lennart Leon Luca Malik Marek Mateo Matthias Milan
Nikhil Nikolai Obinna Olaf Omar Otto Pablo Patrick Pawel Pieter Quentin Rafael Rajesh Ramon
Rashid Rohan Rolf Samir Sergei Silas Stefan Sven Tariq Terrence Thabo Tomas Umberto Viktor Walid
Wendell Yusuf Zoltan
"""
MALE_NAMES: Final = tuple(_MALE_NAMES.split())
_FAMILY_NAMES = """
Abara Abbasi Abernathy Achterberg Adeyemi Adler Aguirre Ahlgren Akintola Albescu Alvarado Amsel
Andersen Anselmo Aoki Arslan Asante Aydin Azikiwe Bakshi Balogun Banerjee Barzani Bauer Belmonte
Bengtsson Berger Bhandari Bianchi Blomqvist Boateng Bogdanov Bondarenko Borges Brandvold Brennan
Brightwater Caldera Callaghan Cardoso Castellan Cavanagh Chakraborty Chaudhry Cheng Chukwu
Cisneros Corrigan Costigan Cvetkova Czerny Dabrowski Dahlberg Danjuma Darzi Delacroix Demirci
Deshpande Devereux Diallo Dimitrova Donnelly Dragan Drummond Duarte Dvorsky Ebersole Echeverria
Edelstein Egwu Ekstrom Eldridge Engel Eriksen Escobedo Fairweather Farouk Feldmann Fernando
Ferreira Fitzgibbon Fontaine Forsberg Fujita Gadhavi Galindo Ganesan Garrity Gebhardt Georgiou
Gerasimov Gonzaga Gorski Grauer Grimaldo Gunawan Gupta Haddad Hagen Halloran Hamada Hansson
Hartwell Hashimi Havili Heikkinen Hellstrom Hennessy Herrero Hidalgo Hoang Holmgren Horvat Huang
Ibarra Idowu Ilves Imamura Ishikawa Ivanova Jablonski Jankauskas Jayawardena Jimenez Jovanic
Juhasz Kaczmarek Kalani Kamara Karimov Karlsen Kassab Kavanagh Kebede Keller Khoury Kimura
Kiplagat Kirchner Kobayashi Kovac Kowalczyk Krause Kruger Kulkarni Laaksonen Lachance Lindqvist
Lombardi Lozano Lundgren Machado Magnusson Mahlangu Makinen Malhotra Mancini Marchetti Marinescu
Mazur Mbele McAllister McKenna Mehta Mendonca Meszaros Mikkelsen Miyamoto Mokoena Moravec
Morozova Mukherjee Nakagawa Ndiaye Nemeth Nguyen Nielsen Nikolaidis Novak Nwosu Oberholt Obiora
Odhiambo Oduya Ogawa Okafor Okonkwo Olsson Onyango Orlova Ostrowski Ozturk Padilla Palmgren
Panagos Paredes Parvizi Patel Pavlenko Pellegrin Petrosyan Pfeiffer Pham Pokorny Popescu
Quintero Rademaker Rahimi Ranganathan Rasmussen Reinholt Restrepo Riordan Rosales Rostami
Ruzicka Saarinen Sadiq Salazar Santangelo Sauer Schreiber Sedlak Sepulveda Shirazi Sikora
Silveira Skovgaard Sobczak Soto Stavros Steinmetz Suleiman Sundberg Szabo Tadesse Takeda Tanaka
Tekin Thorvald Tirado Toivonen Tran Trevino Tshabalala Ueda Underhill Urbanek Uzun Vandermeer
Vasquez Venkatesan Vasko Villareal Virtanen Vlasak Voigt Wadhwa Waweru Weissman Wickramage
Wojcik Xiang Yamada Yeboah Yildirim Zapata Zelenka Zhou Zielinski Zubair
"""
FAMILY_NAMES: Final = tuple(_FAMILY_NAMES.split())

# ------------------------------------------------------------------ history

# Noun phrases for a list: "History of ..., ... and ...".
_FACT_NOUN: Final = {
    "hiv": "[HIV|HIV infection|HIV on antiretroviral therapy|well-controlled HIV|longstanding HIV"
    "|human immunodeficiency virus infection|HIV with a CD4 count of {cd4}]",
    "depression": "[depression|major depressive disorder|recurrent depression|[treated|chronic]"
    " depression|depression on [sertraline|citalopram|mirtazapine]]",
    "substance_use": "[substance use disorder|[opioid|alcohol|stimulant] use disorder|intravenous"
    " drug use|[cocaine|heroin|methamphetamine] use|opioid dependence on methadone]",
    "diabetes": "[type 2 diabetes|diabetes mellitus|diabetes on metformin|insulin-treated diabetes"
    "|[type 1|diet-controlled] diabetes]",
    "hypertension": "[hypertension|arterial hypertension|high blood pressure|hypertension on"
    " [lisinopril|amlodipine|two agents]|[treated|longstanding] hypertension]",
    "smoker": "[active tobacco use|ongoing tobacco use|tobacco dependence|a smoking"
    " habit of {packs} pack-years]",
    "copd": "[COPD|chronic obstructive pulmonary disease|[mild|moderate|severe] COPD|COPD on"
    " inhalers]",
    "heart_failure": "[heart failure|congestive heart failure|chronic heart failure|heart failure"
    " with [reduced|preserved] ejection fraction]",
    "cancer": "[{cancer} cancer|treated {cancer} cancer|{cancer} cancer [diagnosed|resected] in"
    " {cancer_year}]",
}
# Sentences of their own.
_FACT_SENTENCE: Final = {
    "hiv": (
        "Living with HIV [on|and taking] [antiretroviral therapy|antiretrovirals].",
        "{She} is [HIV-positive|HIV positive], [CD4 count {cd4}|viral load suppressed"
        "|last CD4 {cd4}].",
        "[Takes|Receives] [dolutegravir|bictegravir|efavirenz] for HIV.",
        "Known HIV seropositivity[ since {past_year}| diagnosed in {past_year}|].",
        "Followed in the [HIV|infectious disease and HIV] clinic.",
    ),
    "depression": (
        "[Takes|On|Started on] [sertraline|escitalopram|fluoxetine|venlafaxine] for depression.",
        "{She} is [being treated|in therapy|under psychiatric care] for [depression"
        "|major depression|a depressive episode].",
        "[Long|Documented] [history of depression|depressive illness].",
        "Admitted for [severe depression|a depressive episode] in {past_year}.",
    ),
    "substance_use": (
        "[Reports|Admits to|Acknowledges] [weekly|daily|recent|regular] [cocaine|heroin"
        "|intravenous drug|methamphetamine] use.",
        "Opioid use disorder, [on buprenorphine|on methadone|last use {n} days ago].",
        "Alcohol use disorder, [in a treatment program|last drink {n} days ago|relapsed].",
        "{She} [injects drugs|uses intravenous opioids|drinks heavily, with alcohol dependence].",
        "Substance use [is documented|was disclosed at triage|noted by the referring team].",
    ),
    "pregnancy": (
        "{She} is [pregnant at {gestation} weeks|{gestation} weeks pregnant].",
        "[Currently|Now] {gestation} weeks pregnant[; abdomen shielded|, obstetrics informed|].",
        "Pregnancy [at {gestation} weeks|in the {trimester} trimester][; abdominal shield used|].",
        "[Pregnant|Gravid] patient in the {trimester} trimester.",
    ),
    "diabetes": ("Diabetes [on insulin|treated with metformin], HbA1c {hba1c} percent.",),
    "hypertension": ("[Takes|On] [losartan|amlodipine|ramipril] for hypertension.",),
    "smoker": (
        "[Smokes|Currently smokes] {cigarettes} cigarettes a day.",
        "{She} [is an active smoker|continues to smoke|is a current smoker].",
    ),
    "copd": ("Uses [tiotropium|home oxygen|two inhalers] for COPD.",),
    "heart_failure": ("Chronic heart failure, ejection fraction {ejection} percent.",),
    "cancer": ("[Completed|Receiving] [chemotherapy|radiotherapy|treatment] for {cancer} cancer.",),
}
# What is said when the fact is absent: a noun after "no history of" or "denies", or a sentence.
_ABSENT_NOUN: Final = {
    "hiv": "[HIV|HIV infection]",
    "depression": "[depression|depressive illness]",
    "substance_use": "[substance use|illicit drug use|intravenous drug use|alcohol misuse"
    "|recreational drug use]",
    "pregnancy": "pregnancy",
    "diabetes": "diabetes",
    "hypertension": "[hypertension|high blood pressure]",
    "smoker": "[smoking|tobacco use]",
    "copd": "COPD",
    "heart_failure": "heart failure",
    "cancer": "[cancer|malignancy]",
}
_ABSENT_SENTENCE: Final = {
    "hiv": ("HIV[-| ]negative.", "HIV [test|screen|serology] [was negative|negative]."),
    "depression": (
        "Not depressed.",
        "Depression screen [negative|was negative].",
        "Never treated for depression.",
    ),
    "substance_use": (
        "[Does not use|Never used] [drugs|illicit drugs].",
        "Drug screen [negative|was negative].",
    ),
    "pregnancy": (
        "Pregnancy test [negative|was negative].",
        "Not pregnant[ by history|; last period {n} days ago|].",
    ),
    "diabetes": ("Not diabetic.",),
    "hypertension": ("No antihypertensive treatment.",),
    "smoker": ("[Non-smoker|Nonsmoker].", "[Never smoked|Does not smoke]."),
    "copd": (),
    "heart_failure": (),
    "cancer": (),
}
# How often an absent fact is picked when the report states what is absent.
_ABSENT_WEIGHT: Final = {
    "hiv": 1.2,
    "depression": 2.0,
    "substance_use": 3.0,
    "pregnancy": 3.0,
    "diabetes": 1.0,
    "hypertension": 1.0,
    "smoker": 1.5,
    "copd": 0.7,
    "heart_failure": 0.7,
    "cancer": 1.0,
}
_DENIED_COUNT: Final = {0: 0.15, 1: 0.3, 2: 0.3, 3: 0.15, 4: 0.1}
_LISTED: Final = (
    "[Past history|Medical history|Past medical history] [includes|is notable for|comprises]"
    " {list}.",
    "[Known|Background of|History of|Long history of|Documented] {list}.",
    "{She} has {list}.",
    "Comorbidities include {list}.",
    "[Under follow-up|In care] for {list}.",
    "[Significant for|Notable for] {list}.",
)
_DENIED: Final = (
    "[No history of|No known|Negative history for] {list}.",
    "{She} denies {list}.",
    "[Denies|Reports no] {list}.",
    "Without [known|reported] {list}.",
)

# ------------------------------------------------------------------ indication

_OPENING: Final = (
    "{A_aged} {woman} [with|presenting with|referred for|seen for|who reports] {symptom}"
    " [for|lasting|over] {duration}.",
    "{Symptom} for {duration} in {aged} {woman}.",
    "[Chest radiograph|Chest film|Imaging] requested for {symptom}; the patient is {aged} {woman}.",
    "[Evaluate for|Rule out|Query|Assess for] {question} in {aged} {woman} with {symptom}.",
    "Please assess {aged} {woman} [whose|in whom] {symptom} began {duration} ago.",
    "[Emergency|Outpatient|Inpatient|Urgent] [study|examination] of {aged} {woman}: {symptom},"
    " {duration}.",
    "{Female} patient, {age} years[ old|], [complains of|describes|developed] {symptom}.",
)
_OPENING_WITH_NAME: Final = (
    "{title} {family} is {aged} {woman} [with|who presents with|complaining of|seen for] {symptom}"
    " [for|over the last] {duration}.",
    "{first} {family}, {age} years old, [presents|was referred|was seen] with {symptom}"
    " [for|lasting] {duration}.",
    "Patient {first} {family}, {age}, {female}, [imaged for|examined for|complaining of]"
    " {symptom}.",
    "{title} {first} {family}, [aged {age}|{age} years], reports {symptom} that began {duration}"
    " ago.",
    "We [saw|examined|imaged] {title} {family}, {aged} {woman}, [for|because of] {symptom}.",
    "{title} {family} ({age}, {female}) [attends|returns|came in] with {symptom}.",
)
_SYMPTOMS: Final = {
    "any": "[dry cough|chest discomfort|fatigue|dizziness|[mild|exertional] shortness of breath"
    "|chest tightness|cough and fatigue|back pain|palpitations|hoarseness|wheezing|malaise]",
    "pneumonia": "[productive cough and fever|fever and chills|fever, cough and night sweats"
    "|cough with [green|rusty] sputum|rigors and pleuritic pain|worsening breathlessness]",
    "effusion": "[pleuritic pain|progressive dyspnea|heaviness in the chest|orthopnea"
    "|breathlessness on stairs]",
    "edema": "[orthopnea and leg swelling|sudden dyspnea at night|weight gain and ankle edema"
    "|progressive dyspnea]",
    "pneumothorax": "[sudden sharp chest pain|abrupt breathlessness|stabbing {side} chest pain"
    "|sudden pain after lifting]",
    "fracture": "[{side} chest wall pain after a fall|chest pain after a [bicycle|car] accident"
    "|{side} rib tenderness|chest pain after [a fall down the stairs|an assault|slipping on ice]]",
    "nodule": "[weight loss|hemoptysis|persistent cough|cough and weight loss|loss of appetite]",
    "atelectasis": "[low oxygen saturation|cough after surgery|shallow breathing"
    "|[postoperative|new] hypoxia]",
    "cardiomegaly": "[ankle swelling|reduced exercise tolerance|palpitations and fatigue"
    "|exertional dyspnea]",
    "emphysema": "[chronic cough|longstanding breathlessness|wheezing and cough]",
}
_QUESTIONS: Final = (
    "[pneumonia|consolidation|pneumothorax|pleural fluid|cardiac enlargement|a rib fracture"
    "|an infiltrate|active tuberculosis|edema|a lung lesion]"
)
_VITALS: Final = (
    "Temperature {temperature} C, oxygen saturation {saturation} percent.",
    "Blood pressure {systolic}/{diastolic} mmHg[, pulse {pulse}|].",
    "[Saturating|Oxygen saturation] {saturation} percent on [room air|two liters of oxygen].",
    "White cell count {white_cells}, [C-reactive protein|CRP] {crp} mg/L.",
    "Weight {weight} kg[, body mass index {bmi}|].",
)
_COMPARISON: Final = (
    "Compared with [a radiograph|a chest film|CT|the study] of {date}.",
    "[No prior|No earlier] [imaging|study|radiograph] [for comparison|is available].",
    "[PA and lateral views|Portable AP view|Two views of the chest|A single upright view]"
    "[, compared with {date}| obtained on {date}|].",
    "[Comparison is made with|Prior film dated|Last imaged on] {date}.",
)

# ------------------------------------------------------------------ findings

_NORMAL: Final = {
    "lungs": (
        "The lungs are [clear|clear bilaterally|well aerated|fully expanded and clear].",
        "No focal [consolidation|airspace opacity|airspace disease|infiltrate][ is seen|].",
        "[Both lungs|The lungs] are [well expanded|well inflated] [with no|without] [focal opacity"
        "|airspace disease|suspicious lesion].",
        "Lung volumes are [normal|preserved] and the parenchyma is clear.",
        "[Low|Slightly low] lung volumes [crowd the vessels|with bronchovascular crowding]; no"
        " [opacity|consolidation].",
    ),
    "heart": (
        "The [heart|cardiac silhouette] is [normal in size|not enlarged|within normal limits"
        "|of normal size and contour].",
        "Cardiac [size|contour|silhouette] is [normal|unremarkable|within normal limits].",
        "Cardiothoracic ratio {small_ratio}[, normal|, within normal limits|].",
        "Heart size [normal|at the upper limit of normal].",
    ),
    "mediastinum": (
        "[Mediastinal|Hilar and mediastinal|Hilar] contours are [normal|unremarkable|preserved"
        "|sharp].",
        "The [aorta|thoracic aorta] is [tortuous|mildly unfolded|calcified at the arch"
        "|of normal caliber].",
        "The trachea is midline[ and patent|].",
        "[No hilar|No mediastinal] [enlargement|adenopathy|mass].",
    ),
    "pleura": (
        "[No|There is no] pleural [effusion|fluid] or pneumothorax.",
        "[The costophrenic angles|Both costophrenic angles|Costophrenic sulci] are [sharp|clear"
        "|preserved].",
        "Pleural spaces are [clear|dry|unremarkable].",
        "No pleural [thickening|abnormality|collection][ on either side|].",
    ),
    "bones": (
        "[Osseous structures|The visualized bones|Bony structures] are [intact|unremarkable"
        "|age appropriate|without acute injury].",
        "[Mild|Moderate|Minor] degenerative changes of the [thoracic spine|shoulders"
        "|acromioclavicular joints].",
        "The ribs show no [displaced fracture|acute fracture|fracture line].",
        "[Slight|Mild] [scoliosis|kyphosis] of the thoracic spine.",
    ),
    "devices": (
        "A {side} [chest port|pacemaker|PICC line] [is in place|is unchanged in position"
        "|ends in the superior vena cava].",
        "[Sternotomy wires|Median sternotomy wires] are [intact|aligned].",
        "Surgical clips [project over|overlie] the [upper abdomen|{side} axilla|neck].",
        "No lines or tubes.",
        "Monitoring leads overlie the chest.",
    ),
    "abdomen": (
        "The {side} hemidiaphragm is [mildly elevated|smooth|slightly eventrated].",
        "[No free air|No free gas] [beneath|under] the diaphragm.",
        "The [upper abdomen|visualized abdomen] is [unremarkable|within normal limits].",
        "[Gaseous distension of the stomach|A small hiatal hernia] is noted.",
    ),
    "soft tissue": (
        "[Soft tissues|The chest wall soft tissues] are [unremarkable|normal|symmetric].",
        "[Soft tissue|Muscle] shadows are symmetric.",
        "No subcutaneous [air|gas].",
    ),
}
# Topics on which a report with this finding must not say "normal".
_TOUCHED: Final = {
    "none": (),
    "pneumonia": ("lungs",),
    "effusion": ("pleura", "lungs"),
    "edema": ("lungs", "heart", "pleura"),
    "pneumothorax": ("pleura", "lungs", "soft tissue"),
    "fracture": ("bones",),
    "nodule": ("lungs",),
    "atelectasis": ("lungs", "abdomen"),
    "cardiomegaly": ("heart",),
    "emphysema": ("lungs", "soft tissue"),
}
_RESOLVED: Final = (
    "The {old} [seen on {date}|described previously|of the prior film] has [cleared|resolved"
    "|disappeared].",
    "[Previously noted|Formerly reported] {old} is no longer [seen|visible|apparent].",
    "[Interval|Complete] [resolution|clearing] of the {old}[ since {date}|].",
)

# (finding, acute) or (pneumonia kind, 1) -> what is seen, what is concluded.
_SEEN: Final = {
    ("lobar", 1): (
        "[Dense|Patchy|Confluent|Segmental|Hazy] [consolidation|airspace opacity|opacification] [in"
        "|involving|within] the {lobe}[ with air bronchograms| obscuring the adjacent border|].",
        "There is [a new|an ill-defined|a hazy|a wedge-shaped] [opacity|airspace process"
        "|infiltrate] in the {lobe}, [about {cm} cm across|measuring {cm} cm].",
        "The {lobe} is [consolidated|opacified|partly opacified][, new since {date}"
        "|, worse than before|].",
    ),
    ("interstitial", 1): (
        "[Diffuse|Bilateral perihilar|Symmetric|Extensive] [ground-glass|reticular|interstitial]"
        " [opacities|markings] [are present|are seen in both lungs|spare the periphery].",
        "[Fine|Coarse] [reticular|reticulonodular] pattern [throughout both lungs"
        "|with perihilar predominance], [new since {date}|progressing].",
    ),
    ("aspiration", 1): (
        "[Patchy|Clustered|Streaky] [opacities|infiltrates] in the [dependent|posterior|basal]"
        " [segments|portions] of both lower lobes.",
        "[Bibasal|Gravity-dependent] [airspace disease|opacities], [worse|more extensive] on the"
        " {side}.",
    ),
    ("effusion", 1): (
        "{Size} {side} pleural effusion with [adjacent"
        "|compressive|overlying] [opacity|volume loss|atelectasis].",
        "[Blunting|Obliteration|Loss] of the {side} costophrenic angle by fluid about {cm} cm"
        " deep.",
        "A {side} [meniscus sign|layering collection] is [present|seen], [new since {date}"
        "|larger than before].",
    ),
    ("effusion", 0): (
        "[Small|Minimal|Trace] {side} pleural [fluid|effusion], [unchanged|stable since {date}"
        "|similar to the previous film].",
        "[Residual|Chronic] blunting of the {side} costophrenic angle[, as before|].",
    ),
    ("edema", 1): (
        "[Cephalization of the vessels|Vascular redistribution|Upper lobe vascular prominence] with"
        " [Kerley B lines|septal thickening|perihilar haze].",
        "[Perihilar|Central] [alveolar|bat-wing|hazy] opacities with [peribronchial cuffing"
        "|fluid in the fissures|indistinct vessels].",
        "[Enlarged|Engorged] pulmonary vessels and [thickened fissures|interlobular septal lines].",
    ),
    ("pneumothorax", 1): (
        "[A visceral pleural line|The pleural edge|A thin pleural line] is visible at the {side}"
        " apex, {mm} mm from the chest wall.",
        "{Size} {side} [apical|apicolateral] pneumothorax [without|with slight] mediastinal shift.",
        "[Absent lung markings|A lucent band] [along|beyond] the {side} [apex|lateral chest wall].",
    ),
    ("fracture", 1): (
        "[Cortical step|Lucent line|Sharp break|Cortical disruption] [through|of] the {side} {rib}"
        " rib [laterally|posteriorly|in the axillary line].",
        "The {side} {rib} rib is [broken|fractured] with {mm} mm of displacement.",
    ),
    ("fracture", 0): (
        "[Callus|Old deformity|Remodeled contour|Bridging callus] of the {side} {rib} rib.",
        "[Remote|Healed] fractures of the {side} {rib} and neighboring rib.",
    ),
    ("nodule", 1): (
        "[Spiculated|Lobulated|Ill-defined|Noncalcified|Rounded] [nodule|lesion] in the {lobe}"
        " measuring {mm} mm[, not seen on {date}|, larger than before|].",
        "[Solid|Round] [nodule|opacity] of {mm} mm [projecting over|in|lying in] the {lobe}.",
    ),
    ("nodule", 0): (
        "[Calcified granuloma|Dense calcified nodule|Well-defined {mm} mm nodule] in the {lobe},"
        " [unchanged|stable since {date}|as before].",
        "[Several|A few] calcified granulomas, the largest {mm} mm in the {lobe}.",
    ),
    ("atelectasis", 1): (
        "[Volume loss|Increased density|Crowded vessels] in the {lobe} with [shift of the fissure"
        "|elevation of the hemidiaphragm|tracheal deviation].",
        "[Wedge-shaped|Triangular] [density|opacity] with [displaced fissure|volume loss] in the"
        " {lobe}.",
    ),
    ("atelectasis", 0): (
        "[Linear|Plate-like|Discoid|Band-like] [scarring|atelectasis] at the {side} base"
        "[, unchanged|, as on {date}|].",
        "[Minor|Minimal] {side} basal [scarring|linear opacities].",
    ),
    ("cardiomegaly", 1): (
        "The cardiac silhouette is [markedly|moderately|now] enlarged, [increased since {date}"
        "|globular in shape|a clear change].",
        "Cardiothoracic ratio {large_ratio}, [up from {small_ratio}|previously {small_ratio}].",
    ),
    ("cardiomegaly", 0): (
        "[Mild|Moderate|Borderline] [cardiomegaly|enlargement of the heart][, unchanged"
        "|, stable since {date}|].",
        "Cardiothoracic ratio {large_ratio}, [as before|not changed since {date}].",
    ),
    ("emphysema", 0): (
        "[Hyperinflation|Hyperexpanded lungs|Overinflation] with [flattened diaphragms"
        "|increased retrosternal air space|attenuated vessels].",
        "[Bullae at the {side} apex|Upper lobe lucency|Paucity of peripheral vessels][, unchanged"
        "|].",
    ),
}
_CONCLUDED: Final = {
    ("none", 0): (
        "No acute [cardiopulmonary|] [abnormality|disease|process|finding].",
        "[Normal|Unremarkable] chest [radiograph|film|examination|study].",
        "No [radiographic|] evidence of [pneumonia|active infection|acute disease|pneumothorax].",
        "[Clear lungs|Clear chest][, nothing acute|; symptoms not explained|].",
        "[Nothing|No abnormality] to explain the [symptoms|complaint].",
        "[Negative|Reassuring] [study|film]; no [consolidation|effusion|fracture].",
    ),
    ("resolved", 0): (
        "[Resolved|Cleared] {old}[; no new abnormality|].",
        "No residual {old}[, film back to baseline|].",
        "[Interval improvement|Full recovery] after {old}, [nothing new|no acute process].",
        "{Old} [has resolved|is no longer present].",
    ),
    ("lobar", 1): (
        "{Lobe} [pneumonia|infiltrate, likely infectious|airspace infection].",
        "[Findings are consistent with|Appearances suggest|Most in keeping with|Compatible with]"
        " {lobe} [pneumonia|infection].",
        "[Infectious consolidation|Bacterial pneumonia] of the {lobe}[; film after treatment"
        " advised|].",
        "[New|Worsening|Progressive] {lobe} [consolidation|pneumonia].",
    ),
    ("interstitial", 1): (
        "[Bilateral interstitial|Atypical|Diffuse] pneumonia[; Pneumocystis should be considered"
        "|, opportunistic organism possible|].",
        "[Pneumocystis|Viral|Opportunistic] [pneumonia|infection] [is suspected|is the main concern"
        "|favored].",
        "[Acute|New] interstitial [process|infection], [Pneumocystis|viral|mycoplasma] [possible"
        "|likely].",
    ),
    ("aspiration", 1): (
        "[Aspiration pneumonia|Probable aspiration|Findings favor aspiration] [in|involving] the"
        " [lung bases|lower lobes].",
        "[New|Acute] basal [infection|pneumonia], [aspiration likely|probably after aspiration].",
    ),
    ("effusion", 1): (
        "[New|Increasing|Enlarging|{Size}] {side} pleural effusion[; drainage may be considered"
        "|, cause to be clarified|].",
        "{Side} effusion [has increased|larger than before|of recent onset].",
        "[Pleural fluid|Exudate] on the {side}[; ultrasound suggested|].",
    ),
    ("effusion", 0): (
        "[Chronic|Stable|Unchanged] [small|] {side} effusion, [nothing acute|no new abnormality"
        "|not progressing].",
        "[Old|Longstanding] {side} pleural [effusion|thickening][; no acute disease|].",
    ),
    ("edema", 1): (
        "[Mild|Moderate|Interstitial|Acute] pulmonary edema.",
        "[Vascular congestion|Fluid overload] with [interstitial|early alveolar] edema.",
        "Appearances of [cardiogenic|hydrostatic] edema[; repeat film after diuresis|].",
        "[Cardiac decompensation|Congestion], [worse than before|new].",
    ),
    ("pneumothorax", 1): (
        "{Side} pneumothorax, [{mm} mm at the apex|estimated at {percent} percent].",
        "[{Size}|New|Spontaneous] {side} pneumothorax[; the ward was telephoned"
        "|; surgical review advised|].",
        "[Partial|Apical] collapse of the {side} lung from pneumothorax.",
    ),
    ("fracture", 1): (
        "Acute [minimally displaced|nondisplaced|displaced] fracture of the {side} {rib} rib.",
        "[Fresh|Recent|New] {side} {rib} rib fracture[, no lung injury|; pain control advised|].",
        "[Traumatic|Acute] injury of the {side} {rib} rib.",
    ),
    ("fracture", 0): (
        "[Healed|Old|Remote] {side} {rib} rib fracture, [no acute injury|nothing acute"
        "|no fresh fracture].",
        "[Old|Previous] rib injury [only|without acute change].",
    ),
    ("nodule", 1): (
        "[New|Growing|Suspicious] {lobe} nodule; [CT is recommended|chest CT advised"
        "|referral to the nodule clinic].",
        "{Lobe} lesion of {mm} mm, [not previously seen|needs tissue sampling"
        "|further imaging required].",
    ),
    ("nodule", 0): (
        "[Stable|Benign calcified|Unchanged] {lobe} [granuloma|nodule][; no follow-up needed"
        "|, nothing new|; no acute disease].",
        "[Old granulomatous disease|Evidence of prior granulomatous infection], [inactive"
        "|no acute change].",
    ),
    ("atelectasis", 1): (
        "[New|Acute|Worsening] {lobe} [collapse|atelectasis][; mucus plugging likely"
        "|; bronchoscopy may help|].",
        "[Postobstructive|Acute] volume loss of the {lobe}.",
    ),
    ("atelectasis", 0): (
        "[Minor|Chronic|Unchanged] {side} basal [scarring|linear atelectasis][, no acute disease"
        "|, otherwise clear|].",
        "[Scarring|Fibrotic change] at the {side} base, [stable|old].",
    ),
    ("cardiomegaly", 1): (
        "[New|Increasing|Progressive] cardiac enlargement[; echocardiography recommended"
        "|, pericardial fluid to be excluded|].",
        "Enlarging [heart|cardiac silhouette], [pericardial effusion possible"
        "|decompensation suspected].",
    ),
    ("cardiomegaly", 0): (
        "[Stable|Chronic|Unchanged] cardiomegaly [without|with no] [acute|superimposed|new]"
        " [change|process|disease].",
        "[Known|Longstanding] cardiac enlargement, [compensated|no congestion|as before].",
    ),
    ("emphysema", 0): (
        "[Emphysema|Emphysematous change|Hyperinflation] [without|with no] [acute|new]"
        " [infiltrate|abnormality|disease].",
        "[Stable|Chronic] [obstructive changes|hyperinflation][, no acute process|, as before|].",
    ),
}
# Said after the conclusion in reports of both classes, so that no phrase gives the class away.
_ASIDE: Final = (
    "Clinical correlation [is advised|recommended].",
    "[Follow-up|Repeat radiograph] in {weeks} weeks[ if symptoms persist|].",
    "[Discussed|Result shared] with the [referring team|treating physician|ward] [by telephone"
    "|on {today}].",
    "[Remainder|Rest] of the [study|film] is [unremarkable|unchanged|normal].",
    "[Result|Report] [sent|forwarded] to the [clinic|family doctor|ward].",
)
_ANY_ASIDE: Final = (*_ASIDE, "No acute osseous [abnormality|injury].")
_LABELS: Final = (
    ("", "", "", "", ""),
    ("", "", "", "", "Impression: "),
    ("INDICATION: ", "HISTORY: ", "COMPARISON: ", "FINDINGS: ", "IMPRESSION: "),
    ("Indication: ", "", "", "Findings: ", "Impression: "),
    ("Reason for exam: ", "Background: ", "Technique: ", "Observations: ", "Conclusion: "),
    ("Clinical information: ", "", "", "Report: ", "Opinion: "),
    ("", "", "", "Findings: ", "Conclusion: "),
    ("History: ", "", "", "", "In summary: "),
)

_LOBES: Final = (
    "right upper lobe",
    "right middle lobe",
    "right lower lobe",
    "left upper lobe",
    "left lower lobe",
)
_RIBS: Final = ("third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
# Ranges of the numbers in a report, inclusive.
_WHOLE: Final = {
    "mm": (5, 29),
    "percent": (10, 40),
    "n": (2, 28),
    "weeks": (2, 12),
    "cd4": (90, 900),
    "packs": (8, 60),
    "cigarettes": (3, 40),
    "ejection": (20, 55),
    "saturation": (86, 99),
    "systolic": (98, 178),
    "diastolic": (55, 97),
    "pulse": (54, 121),
    "crp": (1, 210),
    "weight": (46, 118),
    "bmi": (18, 39),
    "days": (2, 14),
    "hours": (2, 30),
}
_DECIMAL: Final = {  # low, high, digits
    "cm": (1.5, 7.5, 1),
    "hba1c": (5.9, 11, 1),
    "temperature": (36.2, 39.6, 1),
    "white_cells": (3.5, 19, 1),
    "small_ratio": (0.41, 0.49, 2),
    "large_ratio": (0.54, 0.66, 2),
}
_ALTERNATIVES: Final = re.compile(r"\[([^\[\]]*)\]")


@dataclass(frozen=True)
class _Patient:
    first: str
    family: str
    age: int
    sex: str
    facts: dict[str, int]
    finding: str
    abnormal: int
    kind: str  # key of the grammar: the finding, the kind of pneumonia, or "resolved"
    name_in_text: int

    @property
    def identity(self) -> tuple[object, ...]:
        return (self.first, self.family, *self.facts.values())


def make_reports(patients: int, *, seed: int = 0) -> pd.DataFrame:
    """Write one synthetic chest-radiograph report for each of `patients` synthetic patients.

    Patient i depends on `seed` and on the patients before i, never on the total: a larger set
    starts with the smaller one. No two patients share name and facts, and no two texts are equal
    once digits and names are dropped; a patient who would break this is drawn again.

    Parameters
    ----------
    patients:
        Number of patients, 1 to 100,000. A thousand takes less than a second.
    seed:
        Integer, at least 0.

    Returns
    -------
    DataFrame with one row a patient and the columns, in this order:
        patient: str, "R00012";
        name: str, first and family name;
        name_in_text: int, 1 where the report names the patient (about half do): the family name
            always, the first name often;
        age: int, years; sex: str, "female" or "male";
        text: str, the report: 4 to 8 sentences, 40 to 90 words: why the patient came, history,
            often a comparison, what is seen, and the conclusion;
        abnormal: int, 1 where the conclusion reports an acute or new finding. It always follows
            from the text. Stable, healed and resolved findings are 0;
        finding: str, the main finding, one of `FINDINGS`, acute or not ("none" also where an
            earlier one has resolved);
        hiv, depression, substance_use, pregnancy: int, the sensitive facts of `SENSITIVE_FACTS`;
        diabetes, hypertension, smoker, copd, heart_failure, cancer: int, as `COMORBIDITIES`.
    A fact that is 1 is stated in the text. One that is 0 is not mentioned, or denied.

    Raises
    ------
    ValueError: `patients` or `seed` is not an integer in its range.
    RuntimeError: no new text was found for a patient in 1,000 attempts.
    """
    _require_integer("patients", patients, 1, _MAX_PATIENTS)
    _require_integer("seed", seed, 0, None)
    identities: set[tuple[object, ...]] = set()
    skeletons: set[str] = set()
    rows = []
    for i in range(patients):
        rng = np.random.default_rng(np.random.SeedSequence((seed, i)))
        patient = _draw_new_patient(rng, identities)
        rows.append(_row(i, patient, _write_new_text(rng, patient, skeletons)))
    return pd.DataFrame(rows)


def _draw_new_patient(rng: np.random.Generator, seen: set[tuple[object, ...]]) -> _Patient:
    for _ in range(_ATTEMPTS):
        patient = _draw_patient(rng)
        if patient.identity not in seen:
            seen.add(patient.identity)
            return patient
    raise RuntimeError(f"no new name and facts in {_ATTEMPTS} draws; ask for fewer patients.")


def _write_new_text(rng: np.random.Generator, patient: _Patient, seen: set[str]) -> str:
    low, high = _WORDS
    for _ in range(_ATTEMPTS):
        text, sentences = _write(rng, patient)
        if sentences > _MOST_SENTENCES or not low <= len(text.split()) <= high:
            continue
        skeleton = _skeleton(text, patient)
        if skeleton not in seen:
            seen.add(skeleton)
            return text
    raise RuntimeError(f"no new text in {_ATTEMPTS} draws; ask for fewer patients.")


def _row(i: int, patient: _Patient, text: str) -> dict[str, object]:
    return {
        "patient": f"R{i:05d}",
        "name": f"{patient.first} {patient.family}",
        "name_in_text": patient.name_in_text,
        "age": patient.age,
        "sex": patient.sex,
        "text": text,
        "abnormal": patient.abnormal,
        "finding": patient.finding,
        **patient.facts,
    }


def _skeleton(text: str, patient: _Patient) -> str:
    """What is left of a text without digits and the patient's name."""
    name = set(normalise_text(f"{patient.first} {patient.family}").split())
    letters = re.sub(r"\d", "", normalise_text(text))
    return " ".join(word for word in letters.split() if word not in name)


# ------------------------------------------------------------------ the patient


def _draw_patient(rng: np.random.Generator) -> _Patient:
    female = rng.random() < FEMALE_SHARE
    age = int(np.clip(round(rng.normal(AGE_MEAN, AGE_SD)), *AGE_RANGE))
    facts = _draw_facts(rng, age, female)
    finding, abnormal = _draw_finding(rng, facts, age)
    return _Patient(
        first=_one_of(rng, FEMALE_NAMES if female else MALE_NAMES),
        family=_one_of(rng, FAMILY_NAMES),
        age=age,
        sex="female" if female else "male",
        facts=facts,
        finding=finding,
        abnormal=abnormal,
        kind=_draw_kind(rng, facts, finding),
        name_in_text=int(rng.random() < NAME_IN_TEXT_RATE),
    )


def _draw_facts(rng: np.random.Generator, age: int, female: bool) -> dict[str, int]:
    def happens(rate: float) -> int:
        return int(rng.random() < rate)

    substance = happens(SUBSTANCE_USE_RATE["under 60" if age < 60 else "60 and over"])
    hiv = happens(HIV_RATE["substance use" if substance else "no substance use"])
    depression = happens(
        DEPRESSION_RATE["base"]
        + DEPRESSION_RATE["woman"] * female
        + DEPRESSION_RATE["substance use"] * substance
        + DEPRESSION_RATE["hiv"] * hiv
    )
    fertile = female and PREGNANCY_AGES[0] <= age <= PREGNANCY_AGES[1]
    pregnancy = happens(fertile * PREGNANCY_RATE["under 40" if age < 40 else "40 and over"])
    smoker = happens(SMOKER_RATE["base"] + SMOKER_RATE["substance use"] * substance)
    # The remaining rates rise with age: about 3 % and 5 % at 20 years, 24 % and 55 % at 75.
    diabetes = happens(0.03 + 0.21 * np.clip((age - 20) / 55, 0, 1))
    hypertension = happens(0.05 + 0.50 * np.clip((age - 20) / 55, 0, 1))
    copd = happens(0.02 if age < 45 else 0.05 + 0.25 * smoker)
    heart_failure = happens(0.01 if age < 50 else 0.08 + 0.08 * hypertension)
    cancer = happens(CANCER_RATE["under 50" if age < 50 else "50 and over"])
    drawn = (hiv, depression, substance, pregnancy)
    drawn += (diabetes, hypertension, smoker, copd, heart_failure, cancer)
    return dict(zip(FACTS, drawn, strict=True))


def _draw_finding(rng: np.random.Generator, facts: dict[str, int], age: int) -> tuple[str, int]:
    weight = dict(FINDING_WEIGHT)
    for fact, present in facts.items():
        for key, factor in FINDING_FACTOR.get(fact, {}).items():
            weight[key] *= factor if present else 1.0
    if age < 40:
        weight[("emphysema", 0)] *= 0.1
        weight[("cardiomegaly", 0)] *= 0.4
    return _weighted(rng, weight)


def _draw_kind(rng: np.random.Generator, facts: dict[str, int], finding: str) -> str:
    if finding == "none":
        return "resolved" if rng.random() < 0.3 else "none"
    if finding != "pneumonia":
        return finding
    cause = "hiv" if facts["hiv"] else "substance_use" if facts["substance_use"] else "neither"
    return _weighted(rng, dict(zip(PNEUMONIA_KINDS, PNEUMONIA_KIND_RATE[cause], strict=True)))


# ------------------------------------------------------------------ the report


def _write(rng: np.random.Generator, patient: _Patient) -> tuple[str, int]:
    """One report about the patient, and its number of sentences."""
    slots = _slots(rng, patient)

    def say(*templates: str, **more: str) -> str:
        return _say(rng, _one_of(rng, templates), slots | more)

    history = _history(rng, patient, slots)
    if rng.random() < 0.15:
        history.insert(int(rng.integers(len(history) + 1)), say(*_VITALS))
    parts = [
        [say(*(_OPENING_WITH_NAME if patient.name_in_text else _OPENING))],
        history,
        [say(*_COMPARISON)] if rng.random() < 0.35 else [],
        _seen(rng, patient, slots),
        [say(*_CONCLUDED[patient.kind, patient.abnormal])],
    ]
    if rng.random() < 0.4:
        parts[4].append(say(*(_ASIDE if patient.finding == "fracture" else _ANY_ASIDE)))
    labelled = list(zip(_one_of(rng, _LABELS), parts, strict=True))
    if rng.random() < 0.25:  # the comparison before the history
        labelled[1], labelled[2] = labelled[2], labelled[1]
    text = " ".join(label + " ".join(sentences) for label, sentences in labelled if sentences)
    return text, sum(map(len, parts))


def _history(rng: np.random.Generator, patient: _Patient, slots: dict[str, str]) -> list[str]:
    """Every fact that is 1, stated, and up to four of the others, denied; in any order."""
    present = [fact for fact in FACTS if patient.facts[fact]]
    rng.shuffle(present)
    # Pregnancy reads badly in a list of diseases.
    alone = [f for f in present if f == "pregnancy" or rng.random() < 0.35]
    listed = [f for f in present if f not in alone]
    sentences = [_say(rng, _one_of(rng, _FACT_SENTENCE[f]), slots) for f in alone]
    sentences += _list_sentence(rng, _LISTED, [_FACT_NOUN[f] for f in listed], slots)

    weight = {f: w for f, w in _ABSENT_WEIGHT.items() if _may_be_denied(patient, f)}
    denied = _weighted_sample(rng, weight, _weighted(rng, _DENIED_COUNT))
    alone = [f for f in denied if _ABSENT_SENTENCE[f] and rng.random() < 0.35]
    listed = [f for f in denied if f not in alone]
    sentences += [_say(rng, _one_of(rng, _ABSENT_SENTENCE[f]), slots) for f in alone]
    sentences += _list_sentence(rng, _DENIED, [_ABSENT_NOUN[f] for f in listed], slots, last="or")
    rng.shuffle(sentences)
    return sentences


def _may_be_denied(patient: _Patient, fact: str) -> bool:
    if patient.facts[fact]:
        return False
    low, high = PREGNANCY_AGES
    return fact != "pregnancy" or (patient.sex == "female" and low <= patient.age <= high)


def _list_sentence(
    rng: np.random.Generator,
    frames: tuple[str, ...],
    nouns: list[str],
    slots: dict[str, str],
    last: str = "and",
) -> list[str]:
    if not nouns:
        return []
    items = [_say(rng, noun, slots) for noun in nouns]
    joined = items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}"
    return [_say(rng, _one_of(rng, frames), slots | {"list": joined})]


def _seen(rng: np.random.Generator, patient: _Patient, slots: dict[str, str]) -> list[str]:
    """The finding, if there is one, among remarks on what it leaves normal."""
    topics = [t for t in _NORMAL if t not in _TOUCHED[patient.finding]]
    rng.shuffle(topics)
    own = _RESOLVED if patient.kind == "resolved" else _SEEN.get((patient.kind, patient.abnormal))
    count = int(rng.integers(1, 4)) + (own is None)
    sentences = [_say(rng, _one_of(rng, _NORMAL[t]), slots) for t in topics[:count]]
    if count > 1 and rng.random() < 0.6:
        first, second, *rest = sentences
        link = _one_of(rng, ("; ", ", "))
        sentences = [first[:-1] + link + second[0].lower() + second[1:], *rest]
    if own is not None:
        place = 0 if rng.random() < 0.6 else int(rng.integers(len(sentences) + 1))
        sentences.insert(place, _say(rng, _one_of(rng, own), slots))
    return sentences


def _slots(rng: np.random.Generator, patient: _Patient) -> dict[str, str]:
    """Everything a template may ask for, drawn once so that all sentences agree."""
    female = patient.sex == "female"
    lobe = _one_of(rng, _LOBES)
    side = lobe.split()[0]
    size = _one_of(rng, ("small", "moderate", "large", "moderately large"))
    old = _one_of(
        rng,
        (
            f"{lobe} pneumonia",
            f"{lobe} infiltrate",
            f"{side} pleural effusion",
            f"{side} pneumothorax",
            "interstitial edema",
            "pulmonary edema",
        ),
    )
    today = date(2015, 1, 1) + timedelta(days=int(rng.integers(3650)))
    prior = today - timedelta(days=int(rng.integers(3, 900)))
    gestation = int(rng.integers(8, 39))
    article = "an" if patient.age in (11, 18) or 80 <= patient.age < 90 else "a"
    symptoms = _SYMPTOMS.get(patient.finding, _SYMPTOMS["any"])
    if rng.random() < 0.4:
        symptoms = _SYMPTOMS["any"]
    cancers = ("breast", "cervical") if female else ("prostate", "testicular")
    numbers = _numbers(rng)
    slots = numbers | {
        "first": patient.first,
        "family": patient.family,
        "title": "Ms." if female else "Mr.",
        "age": str(patient.age),
        "aged": f"{article} {patient.age}-year-old",
        "woman": "woman" if female else "man",
        "female": patient.sex,
        "She": "She" if female else "He",
        "lobe": lobe,
        "side": side,
        "Size": _capital(size),
        "old": old,
        "Old": _capital(old),
        "rib": _one_of(rng, _RIBS),
        "gestation": str(gestation),
        "trimester": ("first", "second", "third")[(gestation > 13) + (gestation > 27)],
        "cancer": _one_of(rng, (*cancers, "colon", "thyroid", "bladder", "kidney")),
        "cancer_year": str(today.year - int(rng.integers(1, 9))),
        "past_year": str(today.year - int(rng.integers(1, 15))),
        "date": _written_date(rng, prior),
        "today": _written_date(rng, today),
        "question": _say(rng, _QUESTIONS, {}),
        "duration": _say(
            rng,
            "[{days} days|[two|three|four|five] days|one week|[two|three|six] weeks|several weeks"
            "|[two|three] months|{hours} hours]",
            numbers,
        ),
    }
    slots["symptom"] = _say(rng, symptoms, slots)
    slots["Symptom"] = _capital(slots["symptom"])
    slots["Lobe"], slots["Side"] = _capital(lobe), _capital(side)
    slots["A_aged"], slots["Female"] = _capital(slots["aged"]), _capital(patient.sex)
    return slots


def _numbers(rng: np.random.Generator) -> dict[str, str]:
    low, high = np.array(list(_WHOLE.values())).T
    whole = rng.integers(low, high + 1)
    numbers = {name: str(value) for name, value in zip(_WHOLE, whole, strict=True)}
    for name, (least, most, digits) in _DECIMAL.items():
        numbers[name] = f"{least + (most - least) * rng.random():.{digits}f}"
    return numbers


def _written_date(rng: np.random.Generator, day: date) -> str:
    forms = ("{d} {month} {y}", "{y}-{m:02d}-{d:02d}", "{m:02d}/{d:02d}/{y}", "{month} {y}")
    month = _MONTHS[day.month - 1]
    return _one_of(rng, forms).format(d=day.day, m=day.month, y=day.year, month=month)


# ------------------------------------------------------------------ grammar and chance


def _say(rng: np.random.Generator, template: str, slots: dict[str, str]) -> str:
    """Resolve [a|b] from the inside out, then fill {slots}."""

    def choose(match: re.Match[str]) -> str:
        return _one_of(rng, match[1].split("|"))

    while "[" in template:
        template = _ALTERNATIVES.sub(choose, template)
    # An empty alternative may leave two spaces.
    return " ".join(template.format_map(slots).split())


def _one_of(rng: np.random.Generator, options: tuple[_T, ...] | list[_T]) -> _T:
    return options[int(rng.random() * len(options))]


def _weighted(rng: np.random.Generator, weights: dict[_T, float]) -> _T:
    edges = np.cumsum(list(weights.values()))
    place = int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))
    return list(weights)[place]


def _weighted_sample(rng: np.random.Generator, weights: dict[str, float], count: int) -> list[str]:
    """`count` different keys, one after the other, each in proportion to its weight."""
    left, chosen = dict(weights), []
    while left and len(chosen) < count:
        key = _weighted(rng, left)
        del left[key]
        chosen.append(key)
    return chosen


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _require_integer(name: str, value: object, low: int, high: int | None) -> None:
    allowed = f"an integer of at least {low}" + (f" and at most {high}" if high else "")
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name} must be {allowed}, got {value!r} ({type(value).__name__}).")
    if value < low or (high is not None and value > high):
        raise ValueError(f"{name} must be {allowed}, got {value}.")
