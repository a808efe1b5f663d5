"""The operator library, and the schemas of the private operators that a compiled backend implements."""

import torch

LIBRARY = torch.library.Library("sma_kernels", "DEF")

# The fields of `AttentionArgs`.
ARGS_SCHEMA = (
    "Tensor? values, Tensor? features, Tensor? maps, Tensor? weight, Tensor? bias, float temperature, "
    "Tensor? temperature_tensor, float gate, Tensor? gate_tensor, Tensor? relation_bias, Tensor? mask, str activation, "
    "str merge, float margin, bool diversify, bool correlate"
)


def define_backend_operators(backend: str) -> None:
    """Defines `_forward_<backend>` and `_backward_<backend>`: the pipeline of `AttentionArgs`, and its gradients.

    The compiled module implements them with TORCH_LIBRARY_IMPL, except for Triton. Absent stages give undefined tensors, None
    in Python.
    """
    grads = ", ".join(["Tensor"] * (ARGS_SCHEMA.count("Tensor?") - 1))  # the mask has none
    LIBRARY.define(
        f"_forward_{backend}({ARGS_SCHEMA}) -> (Tensor pooled, Tensor attention, Tensor maps, Tensor diversity, "
        "Tensor correlation, Tensor attention_sum, Tensor winner)"
    )
    LIBRARY.define(
        f"_backward_{backend}(Tensor? grad_pooled, Tensor? grad_attention, Tensor? grad_maps, Tensor? grad_diversity, "
        "Tensor? grad_correlation, Tensor? attention, Tensor? saved_maps, Tensor? correlation, "
        f"Tensor? attention_sum, Tensor? winner, {ARGS_SCHEMA}, bool[] needs) -> ({grads})"
    )


def define_fast_path() -> None:
    """Defines `_sma_attention`, which runs a fused backend and records its own gradient: the five outputs, or None if it
    leaves the call to the dispatcher."""
    LIBRARY.define(f"_sma_attention({ARGS_SCHEMA}, str backend) -> Tensor[]?")
