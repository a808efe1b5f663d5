"""Triton kernels of the attention operators. Nothing here imports Triton until a kernel module is imported.

| path | kernels | when |
|---|---|---|
| fused forward | forward_kernel | one program holds the maps of a sample (`Sizes.forward_fits`) |
| blocked forward | moments, blocked_correlation, blocked_attention | otherwise, and with divided positions |
| pooling | pool_kernel | after both, unless forward_kernel pools (`ForwardPlan.pools`) |
| sums over chunks | combine, add_parts, finish_pooling | with divided positions, after moments, value_gradients and pool |
| gradient of the values | value_gradients_kernel | one block holds the rows of A |
| the same in blocks | value_gradients_kernel, blocked_value_gradient_kernel | otherwise |
| fused backward of the maps | backward_kernel | as the fused forward, with fewer rows (`Sizes.backward_fits`) |
| blocked backward of the maps | moments, softmax_rows, blocked_gram_backward, blocked_maps_backward | otherwise |
| gradients of the parameters | reduce_kernel | any of them is needed |

With few samples or many positions (`Sizes.divided`), several programs share a sample: each has a chunk of its positions, and
further launches add the sums over chunks in a fixed order (chunks.py).

`plan.py` and `blocked/plan.py` choose the launches and the tile sizes, `kernel_args.py` defines the arguments that kernels
take, `call.py` builds them, and `launch.py` starts the kernels.

A tile of maps lives in registers as [K_PAD*R_PAD, BLOCK_L]: row k*R_PAD + r holds map n = r*K + k, so that the
logits of all feature groups are one batched product and a merge over channels is a reduction over the first axis of
[K_PAD, R_PAD, BLOCK_L]. Rows and columns that pad a tile hold zeros, and so do the positions that a mask excludes (mask.py).
"""
