"""Breaks of what makes a resumed run the run that never stopped."""

from tests.mutants.mutant import Mutant

KILLED = ("tests/models/test_killed_training.py", "-m", "not slow")
FILES = ("tests/models/test_checkpoint_files.py",)

MUTANTS = [
    Mutant("sma_models/data/base.py", "samples if epoch == self.epoch else 0", "0", KILLED),
    Mutant("sma_models/data/base.py", "samples if epoch == self.epoch else 0", "samples", KILLED),
    Mutant("sma_models/data/base.py", "        sampler.set_epoch(max(epoch, 0))\n", "", KILLED),
    Mutant("sma_models/data/base.py", "if progress.is_last_batch:", "if False:", KILLED),
    Mutant("sma_models/data/base.py", "generator=torch.Generator().manual_seed(self.seed),", "", KILLED),
    Mutant(
        "sma_models/task.py", "            restore_random_states(self.random_states)\n", "            pass\n", KILLED
    ),
    Mutant(
        "sma_models/task.py",
        "        # A run that goes on in the middle of an epoch does not start one.\n        self.on_train_epoch_start()\n",
        "",
        KILLED,
    ),
    Mutant("sma_models/checkpoint_files.py", 'Path(f"{path}.unfinished")', "path", KILLED),
    Mutant("sma_models/checkpoint_files.py", "os.replace(path, previous_of(path))", "path.unlink()", FILES),
    Mutant("sma_models/checkpoint_files.py", "if not previous.is_file():", "if True:", FILES),
    Mutant("sma_models/checkpoint_files.py", "weights_only=True", "weights_only=False", FILES),
    Mutant("sma_models/checkpoint_files.py", "return entries.testzip()", "return None", FILES),
]
