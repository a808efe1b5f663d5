"""NaN in one sample of a batch."""

import torch

from tests.helpers import cases


def check_nan_stays_in_its_sample(case, clean, where, position, poison, backend):
    """Poisons one element of sample 1 of 3: the other samples keep their bits, and what is NaN in the reference is NaN."""
    dirty = {**clean, where: clean[where].clone()}
    dirty[where][1, *position] = poison
    before, after = cases.run(case, clean, backend), cases.run(case, dirty, backend)
    expected = cases.run(case, dirty, "reference")
    for name in (*cases.OUTPUTS["sma_attention"], "d_values", "d_features"):
        for sample in (0, 2):
            assert torch.equal(before[name][sample], after[name][sample]), f"{name} of sample {sample}"
        missed = expected[name][1].isnan() & ~after[name][1].isnan()
        assert not missed.any(), f"{name}: {int(missed.sum())} elements should be NaN"
