"""The Lightning module, its optimizer and callbacks, and what makes a run resumable.

`face_task` has what both tasks share, `task` the two tasks; `callbacks` writes best.ckpt and last.ckpt; `resume`, `rng_state`
and `sma_models.data.position` hold what a resumed run restores.
"""
