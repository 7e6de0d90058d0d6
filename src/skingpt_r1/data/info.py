"""What is known about a data set before a single file of it is read."""

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
