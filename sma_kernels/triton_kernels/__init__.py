"""Triton kernels of the attention head. Nothing here imports Triton until a kernel module is imported.

A tile of maps lives in registers as [K_PAD*R_PAD, BLOCK_L]: row k*R_PAD + r holds map n = r*K + k, so that the
logits of all feature groups are one batched product and a merge over channels is a reduction over the first axis of
[K_PAD, R_PAD, BLOCK_L]. Rows and columns that pad a tile hold zeros.
"""
