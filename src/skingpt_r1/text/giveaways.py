"""Whether a text gives a diagnosis away: by its name, a synonym, a kind of it or an adjective."""

from functools import cache

from skingpt_r1.text.findings import WORDS
from skingpt_r1.text.taxonomy import canonical, diagnoses
from skingpt_r1.text.taxonomy_names import normalise

# Adjectives that say the name of a disease in other letters.
_ADJECTIVES = {
    "psoriasis": ("psoriatic", "psoriasiform"),
    "eczema": ("eczematous", "eczematoid"),
    "urticaria": ("urticarial",),
    "acne": ("acneiform", "acneic"),
    "herpes": ("herpetic", "herpetiform"),
    "zoster": ("zosteriform",),
    "vitiligo": ("vitiliginous",),
    "melanoma": ("melanomatous",),
    "nevus": ("nevoid", "nevomelanocytic"),
    "lichen": ("lichenoid",),
    "lupus": ("lupoid",),
    "impetigo": ("impetiginized",),
    "rosacea": ("rosaceiform",),
    "pemphigoid": ("pemphigoid",),
    "lentigo": ("lentiginous",),
}
# Names this long do not turn up by chance when the spaces of a text are left out.
_LONG_NAME = 8
_FINDING_WORDS = {normalise(word) for slot in WORDS.values() for names in slot.values()
                  for word in names}  # fmt: skip


def named_in(text: str, diagnosis: str) -> str | None:
    """The name of the diagnosis that a text contains; None when it contains none.

    Letter case, accents, spelling, hyphens and hidden characters do not matter. Names of its kinds
    and of its ancestors below the family count too.
    """
    plain = f" {normalise(text)} "
    solid = plain.replace(" ", "")
    for name in names_of(diagnosis):
        compact = name.replace(" ", "")
        if f" {name} " in plain or (len(compact) >= _LONG_NAME and compact in solid):
            return name
    return None


@cache
def names_of(diagnosis: str) -> tuple[str, ...]:
    """Normalised names that give a diagnosis away, longest first.

    Words that name a finding, such as `wheals`, do not count: an observation needs them.
    """
    found = canonical(diagnosis)
    names = {normalise(diagnosis)}
    if found is not None:
        table = diagnoses()
        kin = {found, *table[found].parents[:-1]}
        kin |= {name for name, entry in table.items() if found in entry.parents}
        for name in kin:
            names |= {normalise(other) for other in (name, *table[name].synonyms)}
    words = {word for name in names for word in name.split()}
    for noun, adjectives in _ADJECTIVES.items():
        if normalise(noun) in words:
            names |= {normalise(adjective) for adjective in adjectives}
    return tuple(sorted(names - _FINDING_WORDS - {""}, key=lambda name: (-len(name), name)))
