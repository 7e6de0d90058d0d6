"""Diagnosis names that the embedded backbone can write; it knows nothing else about them."""

DISEASES = (
    "psoriasis", "nummular eczema", "tinea corporis", "granuloma annulare", "vitiligo",
    "pityriasis versicolor", "melanocytic nevus", "melanoma", "seborrheic keratosis",
    "basal cell carcinoma", "actinic keratosis", "molluscum contagiosum", "acne", "urticaria",
    "herpes zoster", "lichen planus", "squamous cell carcinoma", "dermatofibroma",
    "benign keratosis", "vascular lesion", "rosacea", "atopic dermatitis", "contact dermatitis",
    "seborrheic dermatitis", "stasis dermatitis", "bullous pemphigoid", "pemphigus vulgaris",
    "dermatitis herpetiformis", "cellulitis", "impetigo", "folliculitis", "drug eruption",
    "viral exanthem", "alopecia areata", "genital warts", "herpes simplex", "melasma",
    "lupus erythematosus", "onychomycosis", "scabies", "candidiasis", "hemangioma", "vasculitis",
    "wart", "keloid", "pityriasis rosea", "lichen simplex", "hidradenitis suppurativa",
    "scleroderma", "sarcoidosis", "mycosis fungoides", "prurigo nodularis",
    "ichthyosis", "erythema multiforme", "erythema nodosum", "epidermal cyst",
    "lipoma", "neurofibroma", "syringoma", "porokeratosis",
    "pyogenic granuloma", "kaposi sarcoma", "keratosis pilaris", "perioral dermatitis",
    "xanthelasma", "leprosy", "lyme disease", "cutaneous larva migrans", "necrobiosis lipoidica",
    "acanthosis nigricans", "lentigo", "bowen disease", "keratoacanthoma", "merkel cell carcinoma",
)  # fmt: skip
