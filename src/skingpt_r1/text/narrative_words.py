"""Words by which a diagnosis is recognised in free text; used by the reader of narratives alone."""

import re

from skingpt_r1.text.taxonomy import canonical

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

# Qualities that are a part of names, and words after which another thing is meant.
_NAMED_QUALITIES = frozenset(("benign", "inflamed", "irritated", "well", "well-differentiated"))
_JOINING = frozenset(("no", "not", "non", "nor", "without", "than", "rather", "and", "or", "but"))
_LONGEST_NAME = 120  # characters
_NO_NAME = "other finding"  # of the taxonomy: what data sets call `other` or `unknown`

_ENGLISH_WORDS = "the a an is are was of and with this that it in on to no not by"
# Small words of other languages, and their word for a diagnosis.
_FOREIGN_WORDS = """
    der die das und ist sind mit eine ein einer nicht von el la los las es un una con de del que
    se le les est une et des du avec il lo di che per sono o os as uma e em com não een het van met
    en och är med diagnose diagnóstico diagnostico diagnosi diagnostic diagnostik rozpoznanie
    zmiana jest na i
"""
_LAST_LATIN = "\u024f"

_ENGLISH, _FOREIGN = frozenset(_ENGLISH_WORDS.split()), frozenset(_FOREIGN_WORDS.split())
_KINDS = frozenset(_KIND_WORDS.split())
_QUALITIES = frozenset(_QUALITY_WORDS.split())
_OTHERS = frozenset(_OTHER_WORDS.split())


def is_english(text: str) -> bool:
    """Whether a text is in English, as far as its letters and its smallest words tell."""
    letters = re.findall(r"[^\W\d_]", text)
    if 2 * sum(letter > _LAST_LATIN for letter in letters) > len(letters):
        return False
    words = [word.lower() for word in re.findall(r"[^\W\d_]+", text)]
    return sum(word in _FOREIGN for word in words) <= sum(word in _ENGLISH for word in words)


def names_disease(phrase: str) -> bool:
    """Whether a phrase names a disease, by its words or in the taxonomy, not only a kind."""
    return not is_kind(phrase) and (_DISEASE.search(phrase) is not None or is_known(phrase))


def is_kind(phrase: str) -> bool:
    """Whether every word only says what kind of thing it is, as in `benign process`."""
    return all(word.lower() in _KINDS for word in _WORD.findall(phrase))


def is_known(phrase: str) -> bool:
    """Whether the taxonomy has the phrase, as a disease or as a kind such as `vascular lesion`."""
    return len(phrase) <= _LONGEST_NAME and canonical(phrase) not in (None, _NO_NAME)


def could_be_name(phrase: str) -> bool:
    """Whether a phrase has the shape of a name: short, and not a quality or a back reference."""
    words = [word.lower() for word in _WORD.findall(phrase)]
    if not 0 < len(words) <= 12 or len(phrase) > _LONGEST_NAME:
        return False
    if words[0] in _QUALITIES and not _is_described(phrase, words):
        return False
    return _OTHERS.isdisjoint(words)


def _is_described(phrase: str, words: list[str]) -> bool:
    """Whether a quality belongs to a name, as in `benign keratosis` and `inflamed nevus`."""
    if words[0] not in _NAMED_QUALITIES or not _JOINING.isdisjoint(words):
        return False
    return is_known(phrase) or is_known(" ".join(words[1:]))
