"""The commands of `sma-net`."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from sma_models.utils.text_files import check_yaml

USAGE = """usage: sma-net COMMAND ...

  demo      train on synthetic faces for a few minutes, and show what was learned
  fit       train                      (sma-net fit --config csv_fer.yaml --data.csv faces.csv)
  validate  evaluate a checkpoint on the validation subjects
  test      evaluate a checkpoint on the test subjects
  crossval  train and test every fold          (sma-net crossval --config ckplus_10fold.yaml)
  ablate    compare the parts of the attention  (sma-net ablate --config ablation_heads.yaml)
  predict   predictions for images and videos    (sma-net predict model.ckpt clip.mp4)
  visualize figures of a network's attention     (sma-net visualize best.ckpt --out figures)
  report    a run as one self-contained page    (sma-net report runs/demo)
  export    to ONNX, or a torch.export program   (sma-net export best.ckpt --format onnx)
  align     aligned crops of a folder or video   (sma-net align photos crops)
  data check  compare a copy of a database with its protocol, and write its manifest
  info      available backends on this machine
  COMMAND --help shows its options.
"""
# Modules are imported on demand: help and info should not wait for the training libraries.
COMMANDS = {
    "demo": "sma_models.cli.demo",
    "crossval": "sma_models.cli.crossval",
    "ablate": "sma_models.cli.ablate",
    "predict": "sma_models.cli.predict",
    "visualize": "sma_models.cli.visualize",
    "report": "sma_models.cli.report",
    "export": "sma_models.cli.export",
    "align": "sma_models.cli.align",
    "data check": "sma_models.cli.data_check",
    "info": "sma_kernels.info",
}
LIGHTNING = ("fit", "validate", "test")  # parsed by Lightning, including the name of the command


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; `arguments` default to the process's. Raises what the command raises."""
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if words[0] in ("-h", "--help"):
        print(USAGE)
        return
    if words[0] == "data" and words[1:2] in ([], ["-h"], ["--help"]):
        words = ["data", "check", "--help"]  # its only command
    length = 2 if words[0] == "data" else 1
    command, rest = " ".join(words[:length]), words[length:]
    if command not in (*COMMANDS, *LIGHTNING):
        print(USAGE, file=sys.stderr)
        raise SystemExit(f"sma-net: {command!r} is not a command")
    for word in rest:
        path = Path(word.rpartition("=")[2])
        if path.suffix in (".yaml", ".yml") and path.is_file():
            check_yaml(path)
    # Spinning threads of torch made training 3.5 times slower on shared cores; passive waiting costs nothing.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if command in LIGHTNING:
        import_module("sma_models.cli.lightning").run(words)
    else:
        import_module(COMMANDS[command]).main(rest)


def console() -> None:
    """The `sma-net` script: prints user errors as one line, with exit status 1.

    User errors are ValueError (an invalid argument or file content) and OSError (a file). Any other exception is a bug
    and keeps its traceback; `SMA_TRACEBACK=1` keeps it for all.
    """
    if os.environ.get("SMA_TRACEBACK") == "1":
        return main()
    try:
        main()
    except (ValueError, OSError) as error:
        raise SystemExit(f"sma-net: error: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
