"""`sma-net export`: writes a trained network as ONNX or as a `torch.export` program."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from jsonargparse import ArgumentParser

from sma_models.models.export import OUTPUTS, save_onnx, save_program

SUFFIX = {"onnx": ".onnx", "torch-export": ".pt2"}
NEEDED = ("onnx", "onnxscript")


def main(arguments: Sequence[str]) -> None:
    """Run `sma-net export`."""
    parser = ArgumentParser(
        prog="sma-net export",
        description="Write the network of a checkpoint for deployment. Input: uint8 RGB [batch,3,size,size]. Outputs: "
        f"{', '.join(OUTPUTS)}. Regions, thresholds, size and alignment are stored in the file as JSON.",
    )
    parser.add_argument("checkpoint", type=Path, help="checkpoint of a training run, such as best.ckpt")
    parser.add_argument("--format", choices=list(SUFFIX), default="onnx")
    parser.add_argument("--out", type=Path, help="output file; default: next to the checkpoint")
    args = parser.parse_args(list(arguments))
    suffix = SUFFIX[args.format]
    out = args.out or args.checkpoint.with_suffix(suffix)
    if out.suffix != suffix:
        raise ValueError(f"out must end in {suffix} for format {args.format}; got {out}")
    out.parent.mkdir(parents=True, exist_ok=True)
    if args.format == "torch-export":
        save_program(args.checkpoint, out)
    else:
        missing = [name for name in NEEDED if find_spec(name) is None]
        if missing:
            raise ModuleNotFoundError(f"format onnx needs {' and '.join(missing)}: pip install 'sma-kernels[export]'")
        save_onnx(args.checkpoint, out)
    print(out)
