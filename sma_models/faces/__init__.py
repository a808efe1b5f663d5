"""Face detection, alignment, tracking and prediction."""
