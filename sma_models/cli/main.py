"""The commands of `sma-net`."""

import os
import sys
from collections.abc import Sequence

USAGE = """usage: sma-net COMMAND ...

  demo      train on drawn faces for a few minutes, and show what was learned
  fit       train                      (sma-net fit --config csv_fer.yaml --data.csv faces.csv)
  validate  measure a checkpoint on the validation subjects
  test      measure a checkpoint on the test subjects
  crossval  train and test every fold          (sma-net crossval --config ckplus_10fold.yaml)
  ablate    which part of the attention does what (sma-net ablate --config ablation_heads.yaml)
  predict   read faces in pictures and videos    (sma-net predict model.ckpt clip.mp4)
  export    ONNX, or a program of torch.export   (sma-net export best.ckpt --format onnx)
  align     aligned crops of a folder or video   (sma-net align photos crops)
  data check  compare a copy of a database with its protocol, and list it for training
  info      what runs on this machine
  COMMAND --help tells more.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; `arguments` default to the process's."""
    command, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    # Threads of torch spin while they wait: on shared cores that made training 3.5 times slower. Sleeping is free.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Each command imports what it needs: help and info should not wait for the training libraries.
    if command == "demo":
        from sma_models.cli.demo import main as demo

        demo(rest)
    elif command == "info":
        from sma_kernels.info import main as info

        info()
    elif command == "align":
        from sma_models.cli.align import main as align

        align(rest)
    elif command == "predict":
        from sma_models.cli.predict import main as predict

        predict(rest)
    elif command == "export":
        from sma_models.cli.export import main as export

        export(rest)
    elif command == "crossval":
        from sma_models.cli.crossval import main as crossval

        crossval(rest)
    elif command == "ablate":
        from sma_models.cli.ablate import main as ablate

        ablate(rest)
    elif command == "data" and rest[:1] == ["check"]:
        from sma_models.cli.data_check import main as check

        check(rest[1:])
    elif command in ("fit", "validate", "test"):
        from sma_models.cli.lightning import run

        run([command, *rest])
    else:
        print(USAGE, file=sys.stdout if command in ("-h", "--help") else sys.stderr)
        if command not in ("-h", "--help"):
            raise SystemExit(f"sma-net: {command!r} is no command")
