"""`sma-net report`: one self-contained page, from whatever files a run has written."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from sma_kernels import __version__
from sma_models.cli import main
from sma_models.cli.demo import DemoSettings, run_demo
from sma_models.models.checkpoint import load_checkpoint
from sma_models.report.html_tables import from_markdown
from sma_models.report.run_results import read_run
from sma_models.utils.provenance import provenance
from tests.helpers.database_copies import write_ckplus
from tests.helpers.face_images import drawn, save
from tests.helpers.face_sets import TINY, au_csv, expression_csv

pytestmark = pytest.mark.filterwarnings("ignore")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Elements without an end tag.
VOID = {"meta", "img", "br", "hr", "link", "input"}
SETTINGS = DemoSettings(train=400, val=60, test=60, subjects=20, image_size=32, epochs=1, workers=0)


class Page(HTMLParser):
    """Text, references and nesting of a page."""

    def __init__(self, path):
        super().__init__()
        self.open, self.references, self.texts, self.ids, self.images = [], [], [], set(), 0
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert not self.open, self.open
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.ids.add(attributes.get("id"))
        self.references += [
            attributes[name] for name in ("src", "href", "srcset", "action", "data") if name in attributes
        ]
        self.images += tag == "img"
        assert tag not in ("script", "link", "iframe", "object", "base"), tag
        assert not any(name.startswith("on") for name in attributes)
        if tag == "img":
            assert attributes["alt"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.texts.append(data)

    def alone(self):
        """Checks that nothing in the page refers to an external resource."""
        for target in self.references:
            assert target.startswith("data:image/webp;base64,") or target.removeprefix("#") in self.ids, target[:80]
        (style,) = re.findall("<style>(.*?)</style>", self.source, re.DOTALL)
        assert "url(" not in style and "@import" not in style
        return self


def fit(folder, csv, task):
    settings = [f"--model.init_args.network.{name}={value}" for name, value in TINY.items()]
    main(["fit", f"--model=sma_models.training.task.{task}", "--data=sma_models.data.CSVFaces", f"--data.csv={csv}", *settings,
          "--data.init_args.num_workers=0", "--data.init_args.batch_size=8", "--trainer.max_epochs=1",
          "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--trainer.logger=CSVLogger",
          f"--trainer.logger.save_dir={folder}", "--trainer.logger.name=", "--trainer.logger.version=run"])  # fmt: skip
    return folder / "run"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "demo"
    run_demo(out, SETTINGS)
    return out


def report(run, *arguments):
    main(["report", str(run), *map(str, arguments)])
    return Page(run / "report.html").alone()


def test_the_demonstration(demo, capsys):
    page = report(demo)
    assert capsys.readouterr().out.strip() == str(demo / "report.html")
    scores = json.loads((demo / "result.json").read_text())["scores"]
    mean = np.mean(scores["f1"])
    assert f"mean F1 {mean:.3f} always present {np.mean(scores['f1_always_positive']):.3f}" in page.text
    assert f"AU12 {scores['f1'][7]:.3f} {scores['f1_always_positive'][7]:.3f} {scores['f1_at_0_5'][7]:.3f}" in page.text
    # Scores, curves, attention, correlation.
    assert page.images == 4
    assert "Not in this run" not in page.text and "not trained on synthetic faces" not in page.text
    assert "backbone resnet10t" in page.text and "image_size: 32" in page.text
    made_by = load_checkpoint(demo / "best.ckpt")[0].made_by
    assert made_by["sma-kernels"] == __version__ and made_by["command"] in page.text
    assert page.text.count(f"git revision {made_by['git revision']}") == 2


def test_a_training_with_images_of_its_own(tmp_path):
    run = fit(tmp_path, au_csv(tmp_path), "ActionUnitTask")
    save(tmp_path / "crops" / "one <two>.png", drawn(1)[0])
    page = report(run, tmp_path / "crops")
    assert page.images == 4 and "not trained on synthetic faces" not in page.text
    assert "<h1>units.csv, fold 0 tested, aligned by none</h1>" in page.source
    # Names are escaped, whatever their characters.
    assert 'alt="Attention on one &lt;two&gt;.png"' in page.source
    assert "class_path: sma_models.training.task.ActionUnitTask" in page.text
    assert "not trained on synthetic faces" in report(run).text
    for number in range(3):
        save(tmp_path / "crops" / f"{number}.png", drawn(1)[0])
    page = report(run, tmp_path / "crops", "--count", "2")
    # Besides scores, curves and correlation.
    assert page.images == 5 and "mean over 2 of 4 images" in page.source


def test_expressions_and_what_is_missing(tmp_path):
    run = fit(tmp_path, expression_csv(tmp_path), "ExpressionTask")
    stored = json.loads((run / "scores_test.json").read_text())["scores"]
    page = report(run)
    assert f"accuracy {stored['accuracy']:.3f} majority guess {stored['majority_accuracy']:.3f}" in page.text
    counts = " ".join(str(count) for count in stored["confusion"][1])
    assert f"2 happiness {stored['f1'][1]:.3f} {counts}" in page.text
    (run / "metrics.csv").unlink()
    shutil.rmtree(run / "checkpoints")
    (run / "scores_test.json").unlink()
    page = report(run)
    assert page.images == 0
    for told in ("scores of the test split", "no curves are shown", "no attention is shown"):
        assert told in page.text, told
    assert "settings" not in read_run(run).missing and read_run(run).title == "Run run"


def test_a_cross_validation(tmp_path):
    write_ckplus(tmp_path / "ckplus", {(n, 1): (1, 5, 7)[n % 3] for n in range(1, 7)})
    manifest = tmp_path / "ckplus.csv"
    main(["data", "check", "--dataset", "ckplus", "--root", str(tmp_path / "ckplus"), "--manifest", str(manifest)])
    network = [f"--model.init_args.network.{name}={value}" for name, value in TINY.items()]
    main(["crossval", "--config", "ckplus_10fold.yaml", "--data.init_args.manifest", str(manifest), *network,
          "--model.init_args.pretrained=false", "--data.init_args.num_workers=0", "--trainer.max_epochs=1",
          "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--folds", "0,1", "--seeds", "0",
          "--out", str(tmp_path / "out")])  # fmt: skip
    page = report(tmp_path / "out")
    result = json.loads((tmp_path / "out" / "results.json").read_text())
    low, high = result["interval"]["accuracy"]
    accuracy, guess = (result["pooled"][name]["mean"] for name in ("accuracy", "majority_accuracy"))
    assert (
        f"accuracy, pooled {accuracy:.3f} majority guess {guess:.3f}; 95 % interval {low:.3f} to {high:.3f}"
        in page.text
    )
    assert "2 training runs" in page.text and "Of the first fold and seed." in page.text and page.images == 4
    assert "Confusion, pooled, mean over seeds (rows are true)" in page.text


def test_markdown_tables_keep_their_cells():
    table = ["|  | a | b |", "| --- | --- | --- |", "| x | 1 | - |", "| **mean** | 2 | |", "| over | 3 | 4 |"]
    text = "\n".join(["words", "", "## Title", "", *table, "", "end", ""])
    words, title, table, end = from_markdown(text)
    assert (words.text, title.heading, end.text) == ("words", "Title", "end")
    assert table.header == ["", "a", "b"]
    assert table.rows == [["x", "1", "-"], ["mean", "2", ""], ["over", "3", "4"]]
    assert table.summary == 2


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        main(["report", str(tmp_path / "none")])
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(ValueError, match="expected the folder of a run of sma-net demo, fit or crossval"):
        main(["report", str(tmp_path)])
    assert not (tmp_path / "report.html").exists()


def test_provenance_says_with_what(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/some/where/sma-net", "fit", "--name", "two words"])
    told = provenance()
    assert told["command"] == "sma-net fit --name 'two words'"
    assert re.fullmatch(r"[0-9a-f]{40}\+?|not a checkout|unknown.*", told["git revision"])


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
@pytest.mark.parametrize("width", [1200, 500])
def test_a_browser_draws_it_without_a_network(demo, tmp_path, width):
    report(demo)
    shot = tmp_path / "page.png"
    subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={tmp_path}/user",
         "--proxy-server=127.0.0.1:1", f"--screenshot={shot}", f"--window-size={width},3000",
         (demo / "report.html").as_uri()],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    page = cv2.imread(str(shot))
    assert page.shape[1] == width
    # The figures are rendered: nothing else on the page has colors as strong as those of curves and faces.
    colorful = np.ptp(page.astype(int), axis=2) > 60
    assert colorful[:, 20:-20].any(1).sum() > 600
    # Nothing is wider than the window: the margin is empty.
    assert np.ptp(page[:, -8:].astype(int), axis=(0, 1)).max() < 4
