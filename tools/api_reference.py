"""`python -m tools.api_reference`: signatures and docstrings of the public names as Markdown, for docs/api.md."""

import inspect
import re
from collections.abc import Iterator
from importlib import import_module

# In the order of a first reading.
PUBLIC = {
    "sma_kernels": (
        "SMAAttention",
        "SMAOutput",
        "sma_attention",
        "multi_channel_attention",
        "attention_diversity",
        "correlate_attention",
        "attention_pool",
        "explain_backends",
    ),
    "sma_models.models.sma_net": ("NetworkConfig", "SMANet", "NetworkOutput", "RegionClassifier"),
    "sma_models.models.pretrained": ("build_network", "match_weights", "Match"),
    "sma_models.models.checkpoint": ("CheckpointInfo", "load_checkpoint"),
    "sma_models.training.face_task": ("FaceTask",),
    "sma_models.training.task": ("ActionUnitTask", "ExpressionTask"),
    "sma_models.training.optimizer": ("OptimizerConfig", "make_optimizer", "make_schedule"),
    "sma_models.losses.classification": ("weighted_asymmetric", "weighted_bce", "au_weights", "class_weights"),
    "sma_models.losses.diversity": ("diversity_term",),
    "sma_models.metrics.scores": (
        "au_scores",
        "AUScores",
        "expression_scores",
        "ExpressionScores",
        "AttentionSimilarity",
    ),
    "sma_models.data": ("FaceDataModule", "FaceTable", "FaceDataset", "CSVFaces", "SyntheticFaceData"),
    "sma_models.synthetic": ("SyntheticFaces", "SyntheticFace"),
    "sma_models.faces.predictor": ("FacePredictor",),
    "sma_models.models.export": ("save_onnx", "save_program"),
    "sma_models.figures.collect": ("run_attention", "run_on_synthetic", "AttentionViews", "RegionView"),
    "sma_models.figures.attention": ("draw_attention",),
    "sma_models.figures.correlation_matrix": ("draw_correlation",),
    "sma_models.figures.training_curves": ("draw_curves",),
}


def main() -> None:
    """Print the page."""
    for module_name, names in PUBLIC.items():
        module = import_module(module_name)
        print(f"## {module_name}\n\n{_paragraph(inspect.getdoc(module))}\n")
        for name in names:
            for line in entry(name, getattr(module, name)):
                print(line)


def entry(name: str, thing: object) -> Iterator[str]:
    """Heading, source, signature and docstring of a name, and below it the public methods of a class."""
    source = inspect.getmodule(thing).__name__.replace(".", "/") + ".py"  # type: ignore[union-attr]
    yield f"### {name}\n\n[{source}](../{source})\n"
    yield _text(name, thing)
    # What a dataclass or a tuple defines besides its fields was not written by hand.
    for method, function in vars(thing).items() if inspect.isclass(thing) else ():
        function = getattr(function, "__func__", function)
        if inspect.isfunction(function) and not method.startswith("_") and function.__doc__:
            yield _text(f"{name}.{method}", function)


def _text(name: str, thing: object) -> str:
    # An inherited docstring is the other library's.
    documentation = inspect.cleandoc(thing.__doc__ or "")
    signature = f"{name}{_signature(thing)}" if callable(thing) else name
    return f"```text\n{signature}\n\n{documentation}\n```\n"


def _signature(thing: object) -> str:
    """One line, or one line per parameter if that is too long; module names of types are omitted."""
    try:
        signature = inspect.signature(thing)  # type: ignore[arg-type]
    except ValueError:
        return ""
    if inspect.isclass(thing):
        signature = signature.replace(return_annotation=inspect.Signature.empty)
    line = _short(str(signature))
    if len(line) <= 90:
        return line
    parts, keyword_only = [], False
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            parts.append("*")
        parts.append(_short(str(parameter)))
    result = signature.return_annotation
    arrow = "" if result is inspect.Signature.empty else f" -> {_short(inspect.formatannotation(result))}"
    return "(\n" + "".join(f"    {part},\n" for part in parts) + f"){arrow}"


def _short(text: str) -> str:
    """Classes by their own names, without the modules that they come from."""
    text = re.sub(
        r"numpy\.ndarray\[tuple\[(?:typing\.)?Any, \.\.\.\], numpy\.dtype\[(?:numpy\.|typing\.)?(\w+)\]\]",
        r"NDArray[\1]",
        text,
    )
    return re.sub(r"\b(?:[a-z_]\w*\.)+(?=[A-Z])", "", text)


def _paragraph(text: str | None) -> str:
    return (text or "").partition("\n\n")[0].replace("\n", " ")


if __name__ == "__main__":
    main()
