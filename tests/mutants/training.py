"""Mutants of training and resuming, which must equal an uninterrupted run."""

from tests.mutants.mutant import Mutant

KILLED = ("tests/training/test_killed_training.py", "-m", "not slow")
RESUMED = "tests/training/test_resumed_training.py"
REFUSED = "tests/training/test_refused_resumption.py"
SETTINGS = "tests/training/test_settings.py"
FINITE = "tests/training/test_finite.py"
FILES = ("tests/models/test_checkpoint_io.py",)
OLD_NAMES = "tests/cli/test_old_names.py"

MUTANTS = [
    Mutant(
        "sma_models/training/face_task.py",
        "schedule = make_schedule(optimizer, self.optimizer_config, steps, steps_per_epoch)",
        "schedule = make_schedule(optimizer, self.optimizer_config, steps, steps)",
        (SETTINGS, "-k", "endless and max_steps"),
    ),
    Mutant(
        "sma_models/training/optimizer.py",
        "if not 0 <= value < math.inf:",
        "if False:",
        (SETTINGS, "-k", "beside_an_option"),
    ),
    Mutant("sma_models/cli/lightning.py", "log.write_bytes(content)", "pass", (REFUSED, "-k", "keeps_its_log")),
    Mutant("sma_models/cli/settings_errors.py", "_WRONG.search(message):", "None:", (SETTINGS, "-k", "one_line")),
    Mutant("sma_models/data/samplers.py", "samples if epoch == self.epoch else 0", "0", KILLED),
    Mutant("sma_models/data/samplers.py", "samples if epoch == self.epoch else 0", "samples", KILLED),
    Mutant("sma_models/data/data_module.py", "            sampler.set_epoch(self._resumed.epoch)\n", "", KILLED),
    Mutant("sma_models/data/data_module.py", "if progress.is_last_batch:", "if False:", KILLED),
    Mutant("sma_models/data/data_module.py", "generator=torch.Generator().manual_seed(self.seed),", "", KILLED),
    Mutant(
        "sma_models/training/face_task.py",
        "            restore_rng_state(self.resumed_rng_state)\n",
        "            pass\n",
        KILLED,
    ),
    Mutant(
        "sma_models/training/face_task.py",
        "        # A run that resumes within an epoch does not start one.\n        self._freeze()\n",
        "",
        KILLED,
    ),
    Mutant("sma_models/models/checkpoint_io.py", 'Path(f"{path}.unfinished")', "path", KILLED),
    Mutant("sma_models/models/checkpoint_io.py", "os.replace(path, previous_of(path))", "path.unlink()", FILES),
    Mutant("sma_models/models/checkpoint_io.py", "if not previous.is_file():", "if True:", FILES),
    Mutant("sma_models/models/checkpoint_io.py", "weights_only=True", "weights_only=False", FILES),
    Mutant("sma_models/models/checkpoint_io.py", "return entries.testzip()", "return None", FILES),
    # Runs that stop within an epoch, and agreement between Lightning's loops and the data.
    Mutant(
        "sma_models/training/callbacks.py",
        "        if epoch_is_over(trainer):\n            super()",
        "        if True:\n            super()",
        (RESUMED, "-k", "as_if_it_had_not and within-an-epoch"),
    ),
    Mutant("sma_models/training/callbacks.py", "or step == trainer.max_steps", "", (RESUMED, "-k", "no_limit")),
    Mutant(
        "sma_models/training/callbacks.py",
        "(trainer.should_stop and trainer.fit_loop._can_stop_early)",
        "False",
        (RESUMED, "-k", "as_if_it_had_not and within-an-epoch"),
    ),
    Mutant(
        "sma_models/training/callbacks.py",
        "self._after_validation = validation_is_due(trainer)",
        "self._after_validation = False",
        (RESUMED, "-k", "crash-after-a-validation"),
    ),
    Mutant(
        "sma_models/training/resume.py",
        "if epoch.restarting and fit.",
        "if False and fit.",
        (RESUMED, "-k", "max_steps"),
    ),
    Mutant("sma_models/data/data_module.py", "        self._resumed = None\n", "", (RESUMED, "-k", "second_training")),
    # Resuming with other samples than before.
    Mutant("sma_models/data/position.py", '["batch_size", "processes"] if', "[] if", (REFUSED, "-k", "refused_within")),
    Mutant(
        "sma_models/data/position.py",
        '("seed", "faces", *divided)',
        '("seed", *divided)',
        (REFUSED, "-k", "refused_within"),
    ),
    Mutant("sma_models/data/position.py", 'if stored.get("samples")', "if True", (RESUMED, "-k", "smaller_from")),
    Mutant(
        "sma_models/training/resume.py",
        "if not {kind, SUMS} <=",
        "if set() and not {kind, SUMS} <=",
        (REFUSED, "-k", "version"),
    ),
    # The folder, the log and the best epoch.
    Mutant(
        "sma_models/cli/lightning.py",
        "elif checkpoint is not None and",
        "elif False and",
        (RESUMED, "-k", "in_its_folder"),
    ),
    Mutant("sma_models/cli/lightning.py", "written.fit.ckpt_path = None", "pass", (RESUMED, "-k", "in_its_folder")),
    Mutant(
        "sma_models/training/callbacks.py",
        "{} if score is None else {path: score}",
        "{}",
        (RESUMED, "-k", "stays_the_best"),
    ),
    Mutant(
        "sma_models/training/callbacks.py",
        "            shutil.copyfile(source, target)\n",
        "",
        (RESUMED, "-k", "stays_the_best"),
    ),
    Mutant(
        "sma_models/training/callbacks.py",
        "read_log(trainer) if trainer.is_global_zero else []",
        "[]",
        (RESUMED, "-k", "crash"),
    ),
    Mutant(
        "sma_models/training/face_task.py",
        "checkpoint[SUMS] = self._summed_losses()",
        "checkpoint[SUMS] = torch.zeros(4)",
        KILLED,
    ),
    Mutant(
        "sma_models/training/callbacks.py",
        "(epoch_is_over(trainer) and self.monitor in trainer.callback_metrics)",
        "self.monitor in trainer.callback_metrics",
        (RESUMED, "-k", "cut_short"),
    ),
    Mutant("sma_models/training/callbacks.py", "save_weights_only=True, ", "", (REFUSED, "-k", "weights_alone")),
    # NaN and infinity.
    Mutant(
        "sma_models/training/epoch_losses.py",
        'if not abs(value) < float("inf"):',
        "if False:",
        (FINITE, "-k", "diverges"),
    ),
    Mutant(
        "sma_models/training/epoch_losses.py",
        "for (step, epoch, _), value in",
        "for (_, epoch, _), value in",
        (FINITE, "-k", "later"),
    ),
    Mutant(
        "sma_models/training/face_task.py",
        "        self.losses.check()\n        # Lightning",
        "        # Lightning",
        (FINITE, "-k", "later"),
    ),
    Mutant(
        "sma_models/training/face_task.py",
        '        require_finite(f"the network\'s logits on the {split} split{step}", logits)\n',
        "",
        (FINITE, "-k", "no_loss_was"),
    ),
    Mutant(
        "sma_models/training/face_task.py",
        '        require_finite_weights("the checkpoint", checkpoint["state_dict"].items())\n',
        "",
        (FINITE, "-k", "network_of_nan"),
    ),
    Mutant(
        "sma_models/models/checkpoint.py",
        '    require_finite_weights(f"checkpoint {path}", content["state_dict"].items())\n',
        "",
        (FINITE, "-k", "network_of_nan or report"),
    ),
    Mutant(
        "sma_models/utils/finite.py",
        "not torch.isfinite(tensor).all()",
        "tensor.isnan().any()",
        (FINITE, "-k", "number"),
    ),
    Mutant("sma_models/models/pretrained.py", "match.state.items())", "{}.items())", (FINITE, "-k", "pretrained")),
    Mutant("sma_models/metrics/scores.py", "if x.isnan().any():", "if False:", (FINITE, "-k", "undefined")),
    Mutant(
        "sma_models/metrics/calibration.py",
        '        require_finite("logits", logits)\n        return',
        "        return",
        (FINITE, "-k", "no_decision"),
    ),
    Mutant(
        "sma_models/metrics/predictions.py",
        'require_finite("logits of predictions", self.logits)',
        "pass",
        (FINITE, "-k", "stored"),
    ),
    Mutant("sma_models/training/callbacks.py", "and not torch.isnan(current) and", "and", (FINITE, "-k", "best")),
    # Settings, and trainings without effect.
    Mutant(
        "sma_models/training/preconditions.py",
        "(labels == 1).any(0) & (labels == 0).any(0)",
        "(labels == 1)",
        (SETTINGS, "-k", "shows_nothing"),
    ),
    Mutant(
        "sma_models/training/preconditions.py", '"16-mixed")', '"16-mixed", "64-true")', (SETTINGS, "-k", "precision")
    ),
    Mutant(
        "sma_models/cli/lightning.py",
        "if not best and not trainer.fast_dev_run:",
        "if False:",
        (SETTINGS, "-k", "of_nothing"),
    ),
    Mutant("sma_models/cli/lightning.py", "ckpt_path=best or None", "ckpt_path=best", (SETTINGS, "-k", "fast_run")),
    Mutant(
        "sma_models/training/callbacks.py",
        "not (trainer.enable_validation and len(data.splits.val))",
        "False",
        (SETTINGS, "-k", "last_weights"),
    ),
    Mutant(
        "sma_models/training/callbacks.py",
        "if not self.best_model_path and not",
        "if False and not",
        (SETTINGS, "-k", "last_weights"),
    ),
    Mutant(
        "sma_models/cli/lightning.py", 'target.name = f"{target.name}_{command}"', "pass", (SETTINGS, "-k", "beside")
    ),
    Mutant(
        "sma_models/cli/lightning.py",
        "self.trainer.validate(**arguments, verbose=False)",
        "self.trainer.validate(**arguments)",
        (SETTINGS, "-k", "beside"),
    ),
    Mutant(
        "sma_models/cli/lightning.py",
        '"enable_model_summary": False',
        '"enable_model_summary": True',
        (SETTINGS, "-k", "screen"),
    ),
    Mutant("sma_models/cli/lightning.py", "parser_class=Parser,", "", (SETTINGS, "-k", "wrong_option")),
    Mutant(
        "sma_models/cli/lightning.py",
        "raise ValueError(one_line(str(error)))",
        "raise ValueError(str(error))",
        (SETTINGS, "-k", "beside_an_option"),
    ),
    Mutant(
        "sma_models/cli/settings_errors.py",
        "nested[-1] if nested else",
        "nested[-1] if False else",
        (SETTINGS, "-k", "wrong_option"),
    ),
    Mutant("sma_models/cli/data_check.py", "words = words or [", "words = [] and [", (SETTINGS, "-k", "explains")),
    Mutant(
        "sma_models/cli/old_names.py",
        "group in (old_group, _ANY_GROUP)",
        "True",
        (OLD_NAMES, "-k", "settings_are_read"),
    ),
    Mutant("sma_models/cli/old_names.py", "group or _ANY_GROUP", "group", (OLD_NAMES, "-k", "class_file")),
    Mutant(
        "sma_models/cli/old_names.py", "if name not in _warned:", "if True:", (OLD_NAMES, "-k", "settings_are_read")
    ),
    Mutant("sma_models/utils/run_dir.py", "return same_values and", "return", (OLD_NAMES, "-k", "folder_of_results")),
    Mutant(
        "sma_models/utils/run_dir.py",
        "_comments(stored) == _comments(settings)",
        "True",
        (OLD_NAMES, "-k", "folder_of_results"),
    ),
]
