"""Correlations among the levels of a term, and among rows, by their precision: one a file, one contract (`base.Precision`)."""
