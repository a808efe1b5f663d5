"""Mutants of the figures of attention, the report of a run, and the checks of the documents."""

from tests.mutants.mutant import Mutant

VISUALIZE = "tests/report/test_visualize.py"
REPORT = "tests/report/test_report.py"
DOCUMENTS = "tests/cli/test_documents.py"
CROPS = "tests/faces/test_crops.py"
DOCS = "tests/test_docs_code.py"


def figures(file: str, old: str, new: str) -> Mutant:
    return Mutant(f"sma_models/figures/{file}.py", old, new, (VISUALIZE,))


def report(file: str, old: str, new: str) -> Mutant:
    return Mutant(f"sma_models/report/{file}", old, new, (REPORT,))


MUTANTS = [
    # Figures show the computation of the head.
    figures("collect", "after, _ = predictor.network.attention.refine(head.maps)", "after = head.maps"),
    figures("collect", "np.mean(correlations, axis=0)", "correlations[0]"),
    figures("collect", "attended.views[row][row]", "attended.views[0][row]"),
    figures("collect", "columns[name]].argmax())", "columns[name]].argmin())"),
    figures("collect", "(image.shape[0] - VIEW) // 2", "0"),
    Mutant("sma_models/faces/predictor.py", "attention.float().amax(2)", "attention.float()[:, :, 0]", (VISUALIZE,)),
    # A row shares its scale; channels, cosines and shares are correct.
    figures("attention", "max(float(maps.max()) for maps in (view.before, view.after, view.used))", "1e-3"),
    figures("attention", "maps.std(0)", "maps.mean(0)"),
    figures("attention", "~np.eye(len(maps), dtype=bool)", "np.eye(len(maps), dtype=bool)"),
    figures("attention", "if channels > 1 else []", ""),
    figures("correlation_matrix", ".sum(3).mean(1)", ".mean(3).mean(1)"),
    figures("correlation_matrix", ".sum(3).mean(1)", ".sum(3).mean(1).T"),
    figures("training_curves", 'int(row["epoch"]) + 1', 'int(row["epoch"])'),
    figures("training_curves", 'if checkpoint.parent.name == "checkpoints" else None', ""),
    figures("network_figures", "sampled = evenly_spaced(images, count)", "sampled = list(images)"),
    figures("network_figures", "np.linspace(0, len(paths) - 1, min(", "np.arange(min("),
    report("page.py", "image_paths(predictor, sources), count)", "image_paths(predictor, sources))"),
    figures("network_figures", "predictor.check_same_alignment(images)", "pass"),
    Mutant("sma_models/figures/network_figures.py", "if face_detected[path] else", "if True else", (CROPS,)),
    Mutant("sma_models/report/run_results.py", 'result.get("without_a_face", 0)', "0", (CROPS,)),
    Mutant("sma_models/faces/sources.py", "while name in self._taken:", "while False:", (VISUALIZE,)),
    # The page: no external resources, escaped names, notes about missing parts, correct numbers.
    report("page.py", "autoescape=True", "autoescape=False"),
    report("page.html.j2", "<meta charset", '<link href="https://example.org/a.css"><meta charset'),
    report("page.html.j2", ".scroll { overflow-x: auto; }", ".scroll { background: url(a.png); }"),
    report("run_results.py", "run.missing.append(description)", "pass"),
    report("run_results.py", 'result["protocol"] == SyntheticFaceData.__name__', "True"),
    report("run_results.py", "means['f1_always_positive']", "means['f1']"),
    report("html_tables.py", "line[1:-1]", 'line.strip("| ")'),
    report("html_tables.py", "block.summary = len(block.rows) - bold", "pass"),
    report("page.html.j2", ".scroll { overflow-x: auto; }", ""),
    Mutant("sma_models/training/face_task.py", "made_by=provenance(),", "", (REPORT,)),
    Mutant("sma_models/utils/provenance.py", "shlex.join(", "' '.join(", (REPORT,)),
    Mutant("sma_models/utils/provenance.py", '"torch": str(torch.__version__),', '"torch": torch.__version__,', (REPORT,)),
    # Documents that no longer match the program.
    Mutant("docs/train.md", "--save-annotated annotated", "--save-annotate annotated", (DOCS,)),
    Mutant("docs/operator.md", "# [8, 12, 512]: one", "# [8, 12, 256]: one", (DOCS,)),
    Mutant("docs/visualization.md", "sma-net report runs/demo", "sma-net reports runs/demo", (DOCS,)),
    Mutant(
        "docs/train.md",
        "fit --config csv_fer.yaml --data.csv faces.csv --data.root crops\n",
        "fit --config csv_fer.yaml --data.csv faces.csv\n",
        (DOCUMENTS, "-k", "train"),
    ),
    Mutant("README.md", "mean F1 was 0.755", "mean F1 was 0.765", (DOCUMENTS, "-k", "figure")),
    Mutant("README.md", "clip.mp4 --out predictions.csv", "clip.mp4 --out faces.csv", (DOCUMENTS, "-k", "README")),
    Mutant("README.md", "cp runs/sma_net/version_0/checkpoints/", "cp runs/demo/", (DOCUMENTS, "-k", "README")),
    Mutant(
        "docs/troubleshooting.md", "subjects must be at least two, one", "people must be at least two, one",
        ("tests/test_troubleshooting.py",),
    ),
]  # fmt: skip
