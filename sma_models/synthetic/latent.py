"""Constants of the label sampler, printed by `python -m sma_models.synthetic.calibration`."""

# Label rates of AU25 and AU26 before AU24 clears some of them, so that what is left meets the base rates.
CORRELATED_RAW = {25: 0.3538, 26: 0.1142}

# Correlation of the latent normals of two action units, where it is not 0.
LATENT = {
    (1, 2): 0.753,
    (4, 6): -0.197,
    (4, 7): 0.085,
    (4, 9): 0.749,
    (4, 10): -0.175,
    (4, 12): -0.449,
    (4, 25): -0.311,
    (4, 26): 0.07,
    (6, 7): 0.761,
    (6, 9): 0.028,
    (6, 10): 0.727,
    (6, 12): 0.763,
    (6, 25): 0.401,
    (6, 26): -0.033,
    (7, 9): -0.019,
    (7, 10): 0.577,
    (7, 12): 0.322,
    (7, 25): -0.096,
    (7, 26): -0.014,
    (9, 10): 0.03,
    (9, 12): -0.075,
    (9, 25): 0.058,
    (9, 26): -0.023,
    (10, 12): 0.743,
    (10, 25): 0.4,
    (10, 26): -0.066,
    (12, 25): 0.817,
    (12, 26): 0.214,
    (17, 24): 0.706,
    (25, 26): 0.521,
}
