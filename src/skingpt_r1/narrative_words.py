"""Words by which a diagnosis is recognised in free text; used by `narrative_reading.py` alone."""

import re

# Endings and words that name a disease of the skin, or a systemic disease that is seen there.
_DISEASE = re.compile(
    r"""\b(?:
    \w{2,}(?:itis|itides|omas?|omata|osis|oses|iasis|iases|asis|opath(?:y|ies)|penia|derma|phagia
        |rrh(?:ea|oea|agia)|mycosis|plasia|plakia|dysplasia|keloids?|trichia|algia|phylaxis|trophy)
    |acne(?:iform)?|abscess(?:es)?|ab\s+igne|acrochordons?|addison'?s?|alopecia|angioedema|anetoderma
    |aphthae|aphthous|athlete'?s|bites?|blistering|boils?|bowen'?s?|bullous|burns?|callus(?:es)?|cancer
    |candida|calcinosis|carbuncles?|cellulite|chancre|chancroid|chickenpox|chilblains?|clavus|comedones
    |condylomas?|corns?|crest|ctcl|cysts?|damage|dandruff|darier'?s?|dermographism|dermat(?!olog)\w+
    |disease|disorder|eczema\w*|ecthyma|effluvium|elastolysis|elasticum|erosio|eruptions?
    |erysipelas|erythemas?|erythrasma|erythroderma|exanthems?|exanthema?|excoriations?
    |fever|fistula|freckles|frostbite|furuncles?|gout|grover'?s?|hailey|hansen'?s
    |hemangiomas?|herpes|herpetic|hirsutism|hives|hpv|ichthyos\w+|impetig\w+|infections?|infestations?
    |insufficiency|intertrigo|irritation|isotretinoin|kaposi'?s?|keratoses|keratosis|larva\s+migrans
    |lentig\w+|leprosy|leukonychia|lice|lichen\w*|livedo|lupus|lyme|lymphangioma|melanonychia|melasma
    |malignan\w+|measles|metastas[ie]s|metastatic|milia|miliaria|moles?|molluscum|morphea|morphoea
    |mucinosis|mycosis|mycetoma|myiasis|myxedema|naev\w+|necrolysis|nev(?:us|i)|neurodermatitis
    |neurofibromas?|nodularis|onychomycosis|orf|pachyonychia|papillomatosis|paronychia|pediculosis
    |pellagra|pemphig\w+|perniosis|photodamage|photodermat(?!olog)\w+|piebaldism|pityriasis|planus|poison\s+ivy
    |porokeratosis|porphyria\w*|prickly\s+heat|prurigo|pruritus|pseudopelade|psoria\w+|pterygium
    |purpura|pyoderma|pyogenic|reactions?|ringworm|rosacea|roseola|rubella|rubeola|rupioides
    |sarcoid\w*|scabies|scars?|scarring|scleroderma|scleredema|sebaceous|shingles|stings?|striae
    |stretch\s+marks|sunburn|sun-damaged|syndrome|syphilis|syphilitic|syringomas?|tags?|telangiectasias?
    |telangiectasis|tinea|thrush|tumou?rs?|ulcers?|ulcer(?:ation)?|urticaria\w*|vaccinia|varicella
    |varicose|vasculitis|vasculopathy|venous\s+lakes?|verruca\w*|vitiligo|warts?|wounds?|xanthelasma
    |xanthomas?|xeros\w+|zoster|zona
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)

# Words that say what kind of thing it is without naming it.
_KIND_WORDS = """
    a an the of or and any some such this that with no non kind kinds type category group
    acute aggressive allergic autoimmune bacterial benign chronic common concerning cutaneous
    dermatologic dermatological dermatosis dermatoses diffuse disease diseases disorder disorders
    early eruption etiology fungal genetic immune infection infections infectious infestation
    inflammation inflammatory irritation lesion lesions localized localised malignancy malignant
    malignancies mechanical mild moderate neoplasm neoplastic normal parasitic particular
    pathology persistent possible potential potentially precancerous presentation primary process
    processes rare rash reaction reactions secondary severe significant skin specific spectrum
    superficial systemic tumor tumour underlying vascular viral condition conditions cause causes
    damage disturbance syndrome response hypersensitivity multifactorial widespread features feature
    symptoms signs erythema ulcer ulceration ulcers scarring scars scar wound hyperkeratosis
    hyperpigmentation hypopigmentation lichenification pruritus edema fibrosis parakeratosis
    disorders pathogen mediated eczematous papulosquamous nature origin associated observed central
    intense marked prominent papular vesicular pustular eruptions excoriation excoriated necrosis
    subepidermal blistering neurocutaneous keratinization generalized generalised later certain
    follicular surrounding hair follicle scaling scaly red redness chronicity prolonged
"""

_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")

_QUALITY_WORDS = """
    consistent inflamed irritated healthy well benign likely unlikely essential important needed
    required necessary warranted supported confirmed made based uncertain unclear not rather more
    less highly quite still also further crucial advisable available difficult provided there here
    made reached described noted your you their his her our my its these those such due
"""

# Words that point back or at something other than a disease; no name holds them.
_OTHER_WORDS = """
    this these those it described description manifestations manifestation presentation consequence
    criteria evaluation dermatologist diagnosis diagnoses conclusion features findings treatment
    patient history above assessment consultation provider symptoms possibility possibilities
    combination differential characteristics presentations sequelae progression involvement evidence
    distribution exclusion likelihood overall heterogeneity growths feature subtype conditions known
    context overgrown absence
"""

_KINDS = frozenset(_KIND_WORDS.split())
_QUALITIES = frozenset(_QUALITY_WORDS.split())
_OTHERS = frozenset(_OTHER_WORDS.split())


def names_disease(phrase: str) -> bool:
    """Whether a phrase holds a word that names a disease, not only a kind of disease."""
    return _DISEASE.search(phrase) is not None and not is_kind(phrase)


def is_kind(phrase: str) -> bool:
    """Whether every word only says what kind of thing it is, as in `benign process`."""
    return all(word.lower() in _KINDS for word in _WORD.findall(phrase))


def could_be_name(phrase: str) -> bool:
    """Whether a phrase has the shape of a name: short, and not a quality or a back reference."""
    words = [word.lower() for word in _WORD.findall(phrase)]
    if not 0 < len(words) <= 12 or len(phrase) > 120:
        return False
    return words[0] not in _QUALITIES and _OTHERS.isdisjoint(words)
