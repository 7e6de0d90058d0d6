"""The report of a benchmark run: one HTML file, results.json and report.md."""
