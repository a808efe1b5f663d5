"""The ablation experiment: the effect of each part of the attention head, with paired seeds and pre-registered contrasts."""
