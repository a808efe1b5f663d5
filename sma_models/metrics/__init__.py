"""Scores of predictions, their calibration, and their aggregation over folds and seeds."""
