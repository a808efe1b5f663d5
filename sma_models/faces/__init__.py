"""Face detection, alignment, tracking and prediction; templates and warp are in `sma_models.data.alignment`."""
