"""DermBench, the classification benchmarks and the ablation. For research, not for diagnosis."""
