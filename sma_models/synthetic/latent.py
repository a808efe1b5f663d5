"""Constants of the label sampler, printed by `python -m sma_models.synthetic.calibration`."""

# Label rates of AU25 and AU26 before AU24 clears some of them, so that what is left meets the base rates.
CORRELATED_RAW = {25: 0.3538, 26: 0.1142}

# Correlation of the latent normals, below its diagonal.
LATENT = (
    (),  # AU1
    (0.753,),  # AU2
    (0, 0,),  # AU4
    (0, 0, -0.197,),  # AU6
    (0, 0, 0.085, 0.761,),  # AU7
    (0, 0, 0.749, 0.028, -0.019,),  # AU9
    (0, 0, -0.175, 0.727, 0.577, 0.03,),  # AU10
    (0, 0, -0.449, 0.763, 0.322, -0.075, 0.743,),  # AU12
    (0, 0, 0, 0, 0, 0, 0, 0,),  # AU14
    (0, 0, 0, 0, 0, 0, 0, 0, 0,),  # AU15
    (0, 0, 0, 0, 0, 0, 0, 0, 0, 0,),  # AU17
    (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,),  # AU23
    (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.706, 0,),  # AU24
    (0, 0, -0.311, 0.401, -0.096, 0.058, 0.4, 0.817, 0, 0, 0, 0, 0,),  # AU25
    (0, 0, 0.07, -0.033, -0.014, -0.023, -0.066, 0.214, 0, 0, 0, 0, 0, 0.521,),  # AU26
)
