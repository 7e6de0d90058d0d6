"""Who is who among raters."""

import unicodedata


def rater_key(name: str) -> str:
    """What all spellings of one rater's name have in common: two of them are one person.

    Letter case, spaces around and within, full-width letters, composed or decomposed accents and
    characters that nobody sees make no difference.
    """
    wide = unicodedata.normalize("NFKC", name)
    seen = "".join(letter for letter in wide if unicodedata.category(letter) != "Cf")
    return unicodedata.normalize("NFKC", " ".join(seen.casefold().split()))
