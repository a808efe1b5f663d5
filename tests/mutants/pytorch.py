"""Mutants of the support for torch's modes of use."""

from tests.mutants.mutant import Mutant

COMPILE = "tests/torch_integration/test_compile.py"
EXPORT = "tests/torch_integration/test_export.py"
DERIVATIVES = "tests/torch_integration/test_derivatives.py"
MEMORY = "tests/torch_integration/test_memory.py"
AUTOCAST = "tests/torch_integration/test_autocast.py"
API = "tests/test_api.py"
PROPERTIES = "tests/torch_integration/test_properties.py"
DISTRIBUTED = "tests/torch_integration/test_distributed.py"
DIRECT = "tests/torch_integration/test_direct.py"
FAST_PATH = "tests/torch_integration/test_fast_path_choice.py"
AUTOGRAD = "csrc/ops/autograd.cpp"
RAW = "tests/torch_integration/test_raw_operators.py"
ONNX = "tests/torch_integration/test_onnx.py"
FREED = "tests/torch_integration/test_freed_memory.py"
META = "tests/torch_integration/test_meta.py"
NETWORK = "tests/models/test_sma_net.py"


MUTANTS = [
    # torch.compile.
    Mutant(
        "sma_kernels/checks.py",
        "return -math.inf < value < math.inf",
        "return math.isfinite(value)",
        (COMPILE, "-k", "fixed_settings"),
    ),
    Mutant(
        "sma_kernels/backends/__init__.py",
        "@torch.compiler.assume_constant_result  # it reads",
        "# it reads",
        (COMPILE, "-k", "choice"),
    ),
    Mutant(
        "sma_kernels/api.py",
        "if not backends.uses_reference(backend, args):",
        "if not torch.compiler.is_compiling():",
        (COMPILE, "-k", "one_operator and cpu and False"),
    ),
    Mutant(
        "sma_kernels/backends/cuda.py",
        "@torch.compiler.assume_constant_result  # it reads",
        "# it reads",
        (COMPILE, "-k", "one_operator and cuda-cuda and False"),
    ),
    Mutant(
        "sma_kernels/backends/triton.py",
        "@torch.compiler.assume_constant_result\n",
        "",
        (COMPILE, "-k", "reasons and False"),
    ),
    # Export.
    Mutant("sma_kernels/api.py", "_pytree._register_namedtuple(", "dict(type=", (EXPORT, "-k", "one_operator")),
    Mutant(
        "sma_kernels/ops/registration.py",
        "placeholder(args.grid) if result is None else result for",
        "result for",
        (EXPORT, "-k", "ahead_of_time"),
    ),
    Mutant(
        "sma_kernels/reference.py",
        "(weight.transpose(0, 1) @ grouped).transpose(1, 2)",
        'torch.einsum("rkd,bkdl->brkl", weight, grouped)',
        (ONNX, "-k", "standard_operators"),
    ),
    Mutant(
        "sma_kernels/reference.py",
        "attention.flatten(1, -2) @ values.flatten(2).mT",
        'torch.einsum("bal,bcl->bac", attention.flatten(1, -2), values.flatten(2))',
        (ONNX, "-k", "standard_operators"),
    ),
    Mutant(
        "sma_models/models/export.py", 'backend = "reference"', 'backend = "auto"', (ONNX, "-k", "standard_operators")
    ),
    Mutant(
        "sma_models/models/export.py",
        "self.calibration.probabilities(logits) if",
        "logits.sigmoid() if",
        (EXPORT, "-k", "exported_program_runs"),
    ),
    # Derivatives.
    Mutant(
        "sma_kernels/backends/__init__.py",
        "torch._C._are_functorch_transforms_active() or ",
        "",
        (DERIVATIVES, "-k", "func"),
    ),
    Mutant(
        "sma_kernels/backends/__init__.py",
        " or forward_ad._current_level >= 0",
        "",
        (DERIVATIVES, "-k", "forward_mode"),
    ),
    Mutant(
        "sma_kernels/ops/registration.py",
        "stored[n_saved:]",
        "ctx.saved_tensors[n_saved:]",
        (DIRECT, "-k", "checkpointing"),
    ),
    Mutant(
        "sma_kernels/ops/registration.py",
        'raise RuntimeError(\n            f"second',
        'return [None] * 99 or (\n            f"second',
        (DERIVATIVES, "-k", "second"),
    ),
    # Memory, mixed precision.
    Mutant(
        "csrc/ops/args.cpp",
        "position_stride(x) == 1 || x.stride(1) == 1",
        "position_stride(x) == 1",
        (MEMORY, "-k", "copies"),
    ),
    Mutant(
        "sma_kernels/api.py",
        "    outputs = fast_path.sma_attention(args, backend)\n",
        "    args.values = values.contiguous()\n    outputs = fast_path.sma_attention(args, backend)\n",
        (MEMORY, "-k", "copies"),
    ),
    Mutant(
        "sma_models/models/sma_net.py",
        ".contiguous(memory_format=torch.channels_last)",
        ".contiguous()",
        (MEMORY, "-k", "end_to_end"),
    ),
    Mutant(
        "sma_kernels/ops/registration.py",
        'AUTOCAST_FIELDS = ("values", "features", "maps")',
        'AUTOCAST_FIELDS = ("values", "features", "maps", "weight")',
        (AUTOCAST, "-k", "maps_are_cast"),
    ),
    Mutant(
        "sma_kernels/ops/registration.py", "if tensor.dtype == torch.float64:", "if False:", (AUTOCAST, "-k", "float64")
    ),
    # Shapes, strides and bad input.
    Mutant("sma_kernels/checks.py", 'if axis != "B" and size == 0:', "if False:", (API,)),
    Mutant("sma_kernels/checks.py", "if value.device != device:", "if False:", (PROPERTIES,)),
    Mutant("sma_kernels/checks.py", "if tuple(value.shape) != shape:", "if value.dim() != len(shape):", (API,)),
    Mutant(
        "sma_kernels/checks.py", "if not finite(value) or not low <= value <= high:", "if value < low:", (PROPERTIES,)
    ),
    Mutant("sma_kernels/api.py", '    checks.same_grid("values", values, "features", features)\n', "", (PROPERTIES,)),
    Mutant(
        "csrc/ops/args.cpp",
        "held_.push_back(tensor->to(accum).contiguous());",
        "held_.push_back(tensor->to(accum));",
        (PROPERTIES,),
    ),
    # Several processes.
    Mutant(
        "sma_models/losses/classification.py",
        "(terms.where(known, 0).sum(1) / counts).mean()",
        "terms.where(known, 0).sum() / counts.sum()",
        (DISTRIBUTED,),
    ),
    Mutant(
        "sma_models/training/optimizer.py", "            module.eval()\n", "", ("tests/training/test_optimizer.py",)
    ),
    # The fast path, and calls that bypass the public functions.
    Mutant("sma_kernels/fast_path.py", "if needs_dispatch(tensors_of(args)) or not", "if not", (DIRECT,)),
    Mutant(AUTOGRAD, "at::GradMode::is_enabled() ||", "", (DIRECT, "-k", "second and fast")),
    Mutant(AUTOGRAD, "c10::impl::TorchDispatchModeTLS::any_modes_set() ||", "", (DIRECT, "-k", "intercepts and fast")),
    Mutant(AUTOGRAD, "!are_plain_eager(grads, backend) ||", "", (DIRECT, "-k", "batch_of_losses and fast")),
    Mutant("csrc/ops/cpu.cpp", ", Key::AutocastCPU});", "});", (DIRECT, "-k", "backward_of_the_fast")),
    Mutant(AUTOGRAD, "needs_kernel(grads, needs) && ", "", (FAST_PATH, "-k", "without_work")),
    Mutant(
        AUTOGRAD,
        "std::find(needs.begin(), needs.end(), true) != needs.end() &&",
        "",
        (FAST_PATH, "-k", "needed"),
    ),
    Mutant(AUTOGRAD, "if (backend && is_eligible(", "if (is_eligible(", (FAST_PATH, "-k", "unknown")),
    Mutant(
        "csrc/ops/triton.cpp",
        "torch::jit::Stack stack(grad_outputs.begin(), grad_outputs.end());",
        "torch::jit::Stack stack(grad_outputs.rbegin(), grad_outputs.rend());",
        (DIRECT, "-k", "not_there and triton-bias"),
        (("TRITON_INTERPRET", "1"),),
    ),
    Mutant(
        "csrc/ops/triton.cpp",
        "Key::CPU, Key::AutogradCPU, Key::AutocastCPU",
        "Key::CPU, Key::AutogradCPU",
        (DIRECT, "-k", "registered_operator and triton"),
        (("TRITON_INTERPRET", "1"),),
    ),
    Mutant(AUTOGRAD, "if (!grads[0].defined()) needs[0] = false;", "", (DIRECT, "-k", "part")),
    Mutant(AUTOGRAD, "ctx->needs_input_grad(edge++)", "ctx->needs_input_grad(i)", (DIRECT, "-k", "not_there")),
    Mutant(AUTOGRAD, "ctx->needs_input_grad(edge++)", "true", (DIRECT, "-k", "unneeded")),
    Mutant(AUTOGRAD, "&& !tensor._fw_grad(0).defined()", "", (DIRECT, "-k", "tangent and fast")),
    Mutant(
        AUTOGRAD, "if (*tensor && !is_plain_eager(**tensor, backend)) return false;", "", (DIRECT, "-k", "negative")
    ),
    Mutant(AUTOGRAD, "or_placeholder(winner, args->values->options())", "winner", (DIRECT, "-k", "checkpointing")),
    Mutant(AUTOGRAD, "push_back(grad_inputs[i]);", "push_back(grad_inputs[i ^ 1]);", (DIRECT, "-k", "same_gradients")),
    Mutant(
        AUTOGRAD, "returned.push_back(input);", "returned.push_back(kInputs - 1);", (DIRECT, "-k", "batch_of and fast")
    ),
    Mutant("sma_kernels/fast_path.py", "or not _EAGER_TYPES.issuperset(map(type, tensors))\n", "\n", (DIRECT,)),
    Mutant("sma_kernels/fast_path.py", "torch._C._len_torch_dispatch_stack() > 0", "False", (DIRECT,)),
    Mutant("sma_kernels/fast_path.py", "torch._C._len_torch_function_stack() > 0", "False", (DIRECT,)),
    Mutant("sma_kernels/fast_path.py", "torch._C._is_any_autocast_enabled()", "False", (DIRECT,)),
    Mutant("sma_kernels/fast_path.py", "or backends.functorch_active()", "", (DIRECT,)),
    Mutant(
        "sma_kernels/fast_path.py",
        "name in backends.ON_GPU and backends.FUSED[name].not_supported_reasons(args)",
        "False",
        (FAST_PATH, "-k", "first_choice"),
    ),
    Mutant(
        "sma_kernels/fast_path.py", "candidates(args)[0]", "candidates(args)[-1]", (FAST_PATH, "-k", "first_choice")
    ),
    Mutant("sma_kernels/fast_path.py", " or extension.LOAD_ERROR:", ":", (FAST_PATH, "-k", "compiled_module")),
    Mutant("sma_kernels/fast_path.py", " or backend not in backends.NAMES", "", (FAST_PATH, "-k", "unknown_backend")),
    Mutant("sma_kernels/fast_path.py", " or weight is None", "", (FAST_PATH, "-k", "sizes and weight")),
    Mutant("sma_kernels/fast_path.py", " != (4, 4, 3)", " is None", (FAST_PATH, "-k", "sizes")),
    Mutant(
        "sma_kernels/backends/__init__.py",
        "return device in _ran_on.get(name, ())",
        "return name in _ran_on",
        (FAST_PATH, "-k", "first_call"),
    ),
    Mutant(
        "sma_kernels/ops/registration.py",
        "torch.is_grad_enabled() or needs_dispatch((*grads, *stored))",
        "needs_dispatch((*grads, *stored))",
        (DIRECT, "-k", "second and dispatched"),
    ),
    Mutant(
        "sma_kernels/ops/registration.py",
        "torch.is_grad_enabled() or needs_dispatch((*grads, *stored))",
        "torch.is_grad_enabled()",
        (DIRECT, "-k", "intercepts and dispatched"),
    ),
    Mutant("sma_kernels/fast_path.py", "0 < t < math.inf", "True", (PROPERTIES, "-k", "numbers")),
    Mutant("csrc/ops/checks.cpp", "tensor->sizes() != sizes", "false", (PROPERTIES, "-k", "spoiled")),
    Mutant("csrc/ops/checks.cpp", "tensor.size(axis) == 0", "false", (RAW,)),
    Mutant("csrc/ops/args.cpp", "!required || !layout.present, name", "true, name", (RAW,)),
    Mutant(
        AUTOGRAD,
        "return !find_invalid(args) && args.features->size(0) > 0;",
        "return true;",
        (DIRECT, "-k", "invalid_tensors"),
    ),
    Mutant(
        "sma_kernels/fast_path.py",
        "    return None if name is None else _run(*flatten(args), name)\n",
        "    try:\n        return _run(*flatten(args), name)\n    except RuntimeError:\n        return None\n",
        (DIRECT, "-k", "fault"),
    ),
    # Storages freed under their tensors.
    Mutant("csrc/ops/checks.cpp", "if (needed <= held) return", "return", (FREED, "-k", "cpu and past")),
    Mutant("csrc/ops/checks.cpp", "(tensor.size(axis) - 1) * tensor", "tensor.size(axis) * tensor", (FREED,)),
    Mutant("sma_kernels/checks.py", "if needed > held:", "if False:", (FREED, "-k", "reference and forward")),
    Mutant("sma_kernels/checks.py", "if value.is_contiguous():", "if True:", (FREED, "-k", "expanded")),
    Mutant(
        "sma_kernels/modules.py",
        "checks.memory(gate_logit=self.gate_logit if self.learns_correlation else None)",
        "pass",
        (FREED, "-k", "module and gate"),
    ),
    Mutant(
        "sma_kernels/backends/triton.py",
        'checks.memory(**{f"saved_{name}"',
        'dict(**{f"saved_{name}"',
        (FREED, "-k", "triton and past"),
        (("TRITON_INTERPRET", "1"),),
    ),
    # Meta tensors, dtypes of a network, construction without initialization.
    Mutant("sma_kernels/backends/__init__.py", " or args.grid.is_meta:", ":", (META, "-k", "functions and cpu")),
    Mutant("sma_kernels/reference.py", "_has_autocast(device.type) and ", "", (META, "-k", "functions")),
    Mutant("sma_models/models/sma_net.py", ".to(dtype).contiguous(", ".contiguous(", (NETWORK, "-k", "any_images")),
    Mutant(
        "sma_models/models/sma_net.py",
        "        super()._apply(fn, recurse)\n        self.reset_parameters()\n",
        "        super()._apply(fn, recurse)\n",
        (NETWORK, "-k", "skipped and SMANet"),
    ),
    Mutant("sma_kernels/modules.py", "maps.to(accum),", "maps.float(),", (NETWORK, "-k", "any_images")),
    Mutant(
        "sma_kernels/modules.py",
        "channels, embed_dim, **factory)",
        "channels, embed_dim)",
        (NETWORK, "-k", "take_device"),
    ),
]
