"""What is known about a data set before a single file of it is read.

The long label sets, as their data sets spell them, misspellings included.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInfo:
    """The card of a data set.

    Attributes:
        name: the reader's name, as in `READERS`.
        title: the name its authors use.
        licence: terms of use, in a few words; the data set's own text is what counts.
        citation: authors, title, place, year.
        url: where the data set is described.
        layout: the folders and tables that the reader looks for, in words.
        group_key: what must not be split, and the column or file name it is read from.
        tone_field: column that holds the skin tone; None where the data set has none.
        labels: the label set; empty where any diagnosis name may stand.
        redistributable: the licence lets anybody pass the pictures on; where that is not certain,
            it does not.
        keeps_split: the data set's own parts must be kept, whatever a recipe asks for.
    """

    name: str
    title: str
    licence: str
    citation: str
    url: str
    layout: str
    group_key: str
    tone_field: str | None = None
    labels: tuple[str, ...] = ()
    redistributable: bool = False
    keeps_split: bool = False


def _names(text: str) -> tuple[str, ...]:
    return tuple(" ".join(name.split()) for name in text.split(";"))


# Source: folder names of the DermNet set on Kaggle, 23 classes.
DERMNET = _names("""
    Acne and Rosacea Photos; Actinic Keratosis Basal Cell Carcinoma and other Malignant Lesions;
    Atopic Dermatitis Photos; Bullous Disease Photos; Cellulitis Impetigo and other Bacterial
    Infections; Eczema Photos; Exanthems and Drug Eruptions; Hair Loss Photos Alopecia and other
    Hair Diseases; Herpes HPV and other STDs Photos; Light Diseases and Disorders of
    Pigmentation; Lupus and other Connective Tissue diseases; Melanoma Skin Cancer Nevi and
    Moles; Nail Fungus and other Nail Disease; Poison Ivy Photos and other Contact Dermatitis;
    Psoriasis pictures Lichen Planus and related diseases; Scabies Lyme Disease and other
    Infestations and Bites; Seborrheic Keratoses and other Benign Tumors; Systemic Disease;
    Tinea Ringworm Candidiasis and other Fungal Infections; Urticaria Hives; Vascular Tumors;
    Vasculitis Photos; Warts Molluscum and other Viral Infections
""")

# Source: column `label` of fitzpatrick17k.csv, 114 diagnoses.
FITZPATRICK17K = _names("""
    acanthosis nigricans; acne; acne vulgaris; acquired autoimmune bullous diseaseherpes
    gestationis; acrodermatitis enteropathica; actinic keratosis; allergic contact dermatitis;
    aplasia cutis; basal cell carcinoma; basal cell carcinoma morpheiform; becker nevus; behcets
    disease; calcinosis cutis; cheilitis; congenital nevus; dariers disease; dermatofibroma;
    dermatomyositis; disseminated actinic porokeratosis; drug eruption; drug induced pigmentary
    changes; dyshidrotic eczema; eczema; ehlers danlos syndrome; epidermal nevus; epidermolysis
    bullosa; erythema annulare centrifigum; erythema elevatum diutinum; erythema multiforme;
    erythema nodosum; factitial dermatitis; fixed eruptions; folliculitis; fordyce spots;
    granuloma annulare; granuloma pyogenic; hailey hailey disease; halo nevus; hidradenitis;
    ichthyosis vulgaris; incontinentia pigmenti; juvenile xanthogranuloma; kaposi sarcoma;
    keloid; keratosis pilaris; langerhans cell histiocytosis; lentigo maligna; lichen
    amyloidosis; lichen planus; lichen simplex; livedo reticularis; lupus erythematosus; lupus
    subacute; lyme disease; lymphangioma; malignant melanoma; melanoma; milia; mucinosis; mucous
    cyst; mycosis fungoides; myiasis; naevus comedonicus; necrobiosis lipoidica; nematode
    infection; neurodermatitis; neurofibromatosis; neurotic excoriations; neutrophilic
    dermatoses; nevocytic nevus; nevus sebaceous of jadassohn; papilomatosis confluentes and
    reticulate; paronychia; pediculosis lids; perioral dermatitis; photodermatoses; pilar cyst;
    pilomatricoma; pityriasis lichenoides chronica; pityriasis rosea; pityriasis rubra pilaris;
    porokeratosis actinic; porokeratosis of mibelli; porphyria; port wine stain; prurigo
    nodularis; psoriasis; pustular psoriasis; pyogenic granuloma; rhinophyma; rosacea;
    sarcoidosis; scabies; scleroderma; scleromyxedema; seborrheic dermatitis; seborrheic
    keratosis; solid cystic basal cell carcinoma; squamous cell carcinoma; stasis edema; stevens
    johnson syndrome; striae; sun damaged skin; superficial spreading melanoma ssm; syringoma;
    telangiectases; tick bite; tuberous sclerosis; tungiasis; urticaria; urticaria pigmentosa;
    vitiligo; xanthomas; xeroderma pigmentosum
""")

# Source: column `disease` of ddi_metadata.csv, 78 diagnoses.
DDI = _names("""
    abrasions-ulcerations-and-physical-injuries; abscess; acne-cystic;
    acquired-digital-fibrokeratoma; acral-melanotic-macule; acrochordon; actinic-keratosis;
    angioleiomyoma; angioma; arteriovenous-hemangioma; atypical-spindle-cell-nevus-of-reed;
    basal-cell-carcinoma; basal-cell-carcinoma-nodular; basal-cell-carcinoma-superficial;
    benign-keratosis; blastic-plasmacytoid-dendritic-cell-neoplasm; blue-nevus;
    cellular-neurothekeoma; chondroid-syringoma; clear-cell-acanthoma; coccidioidomycosis;
    condyloma-accuminatum; dermatofibroma; dermatomyositis; dysplastic-nevus; eccrine-poroma;
    eczema-spongiotic-dermatitis; epidermal-cyst; epidermal-nevus; fibrous-papule;
    focal-acral-hyperkeratosis; folliculitis; foreign-body-granuloma; glomangioma;
    graft-vs-host-disease; hematoma; hyperpigmentation; inverted-follicular-keratosis;
    kaposi-sarcoma; keloid; leukemia-cutis; lichenoid-keratosis; lipoma;
    lymphocytic-infiltrations; melanocytic-nevi; melanoma; melanoma-acral-lentiginous;
    melanoma-in-situ; metastatic-carcinoma; molluscum-contagiosum; morphea; mycosis-fungoides;
    neurofibroma; neuroma; nevus-lipomatosus-superficialis; nodular-melanoma-(nm);
    onychomycosis; pigmented-spindle-cell-nevus-of-reed; prurigo-nodularis; pyogenic-granuloma;
    reactive-lymphoid-hyperplasia; scar; sebaceous-carcinoma; seborrheic-keratosis;
    seborrheic-keratosis-irritated; solar-lentigo; squamous-cell-carcinoma;
    squamous-cell-carcinoma-in-situ; squamous-cell-carcinoma-keratoacanthoma;
    subcutaneous-t-cell-lymphoma; syringocystadenoma-papilliferum; tinea-pedis; trichilemmoma;
    trichofolliculoma; verruca-vulgaris; verruciform-xanthoma; wart; xanthogranuloma
""")

# Source: the concept columns of SKINCON, 48 concepts.
SKINCON = _names("""
    Vesicle; Papule; Macule; Plaque; Abscess; Pustule; Bulla; Patch; Nodule; Ulcer; Crust;
    Erosion; Excoriation; Atrophy; Exudate; Purpura/Petechiae; Fissure; Induration; Xerosis;
    Telangiectasia; Scale; Scar; Friable; Sclerosis; Pedunculated; Exophytic/Fungating;
    Warty/Papillomatous; Dome-shaped; Flat topped; Brown(Hyperpigmentation); Translucent;
    White(Hypopigmentation); Purple; Yellow; Black; Erythema; Comedo; Lichenification; Blue;
    Umbilicated; Poikiloderma; Salmon; Wheal; Acuminate; Burrow; Gray; Pigmented; Cyst
""")
