"""The stages of the corpus, one file each: a function over an iterator of candidates."""
