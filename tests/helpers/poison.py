"""NaN in one sample of a batch."""

import math

import torch

from tests.helpers import cases


def check_nan_stays_in_its_sample(case, clean, where, position, poison, backend):
    """Poisons one element of sample 1: other samples keep their bits, and NaN appears where the reference has it."""
    dirty = {**clean, where: clean[where].clone()}
    dirty[where][1, *position] = poison
    before, after = cases.run(case, clean, backend), cases.run(case, dirty, backend)
    expected = cases.run(case, dirty, "reference")
    for name in (*cases.OUTPUTS["sma_attention"], "d_values", "d_features"):
        for sample in {*range(case.batch)} - {1}:
            assert torch.equal(before[name][sample], after[name][sample]), f"{name} of sample {sample}"
        missed = expected[name][1].isnan() & ~after[name][1].isnan()
        assert not missed.any(), f"{name}: {int(missed.sum())} elements should be NaN"


def check_a_nan_cosine(case, backend, device="cpu"):
    """A NaN in one map of sample 1 makes its diversity and the gradients of its maps NaN, and no other sample's."""
    tensors = cases.inputs(case, torch.float32, device=device)
    tensors["maps"][1, 0, 0, 0, 0] = math.nan
    expected, actual = cases.run(case, tensors, "reference"), cases.run(case, tensors, backend)
    assert actual["diversity"].isnan().tolist() == [False, True]
    assert torch.equal(actual["d_maps"].isnan(), expected["d_maps"].isnan())
    assert actual["d_maps"][1].isnan().all() and not actual["d_maps"][0].isnan().any()
