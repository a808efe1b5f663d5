"""The Lightning modules, their optimizer and callbacks, and exact resumption.

`task` has the two tasks, `face_task` their base class; `callbacks` writes best.ckpt and last.ckpt; `resume`, `rng_state` and
`sma_models.data.position` handle the state that a resumed run restores.
"""
