"""Constants of the label sampler, printed by `python -m tools.synthetic_faces.calibrate_labels`."""

# Label rates of AU25 and AU26 before AU24 clears some of them; the remaining labels meet the base rates.
CORRELATED_RAW = {25: 0.3727, 26: 0.1203}

# Correlations of the latent normals of two action units; all others are 0.
LATENT = {
    (1, 2): 0.753,
    (4, 6): -0.201,
    (4, 7): 0.083,
    (4, 9): 0.75,
    (4, 10): -0.178,
    (4, 12): -0.449,
    (4, 25): -0.324,
    (4, 26): 0.069,
    (6, 7): 0.761,
    (6, 9): 0.026,
    (6, 10): 0.727,
    (6, 12): 0.763,
    (6, 25): 0.419,
    (6, 26): -0.029,
    (7, 9): -0.019,
    (7, 10): 0.577,
    (7, 12): 0.319,
    (7, 25): -0.087,
    (7, 26): -0.019,
    (9, 10): 0.029,
    (9, 12): -0.07,
    (9, 25): 0.055,
    (9, 26): -0.022,
    (10, 12): 0.743,
    (10, 25): 0.421,
    (10, 26): -0.064,
    (12, 25): 0.832,
    (12, 26): 0.216,
    (17, 24): 0.706,
    (25, 26): 0.504,
}
