"""The ablation experiment: which part of the attention head does what, with paired seeds and contrasts fixed beforehand."""
