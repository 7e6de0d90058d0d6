"""DermEval: a trained evaluator of narratives that needs no reference. For research only."""
