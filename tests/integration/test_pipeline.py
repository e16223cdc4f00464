"""The whole pipeline through the front door: what runs, what is cached, what is registered."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.engine import Engine, serving
from tests.front_door import ROOT, Project, steps_that_ran
from tests.ports import free_ports

pytestmark = pytest.mark.integration

AFTER_TRAINING = {
    "evaluate",
    "fit_decision",
    "classification_report",
    "evaluate_champion",
    "compare",
    "register_model",
}
NAMES_HEAVY_MODULES = """
import atexit, sys
heavy = {"bitsandbytes", "datasets", "evidently", "huggingface_hub", "matplotlib", "peft", "sklearn", "torch",
         "transformers", "trl"}
atexit.register(lambda: print("heavy modules:", sorted(heavy & sys.modules.keys()), file=sys.stderr))
"""
"""Python to run before a command line: at its end, it names the modules that a cached run must not import."""
ALL_STEPS = {
    "validate_categories",
    "ingest_reviews_Tops",
    "ingest_reviews_Shoes",
    "split_reviews",
    "data_report",
    "format_chat_train",
    "format_chat_validation",
    "format_chat_decision",
    "format_chat_evaluation",
    "evaluate_arm_tfidf",
    "evaluate_baseline",
    "finetune",
    *AFTER_TRAINING,
}


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_a_first_run_makes_a_registered_version(project: Project, first_run: dict[str, Any]) -> None:
    assert first_run["status"] == "completed"
    assert steps_that_ran(first_run) == ALL_STEPS
    assert set(first_run["metrics"]) == {"baseline", "tuned", "tfidf"}
    assert first_run["metrics"]["tuned"]["accuracy"] > first_run["metrics"]["baseline"]["accuracy"]
    for metrics in first_run["metrics"].values():
        natural = metrics["natural"]
        assert natural["share"] == {"negative": 0.5, "positive": 0.5}  # of the tiny source
        assert natural["accuracy_low"] <= natural["accuracy"] <= natural["accuracy_high"]
        for name in ("precision", "recall"):
            assert natural[f"{name}_low"]["negative"] <= natural[f"{name}_high"]["negative"]
    assert first_run["model"]["aliases"] == ["champion"]
    assert first_run["model"]["uri"] == f"models:/review-sentiment/{first_run['model']['version']}"


def test_the_runs_of_training_and_evaluation_have_everything(
    project: Project, first_run: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    from review_sentiment.tracking import mlflow_store

    monkeypatch.setenv("MLFLOW_TRACKING_URI", first_run["mlflow"]["tracking_uri"])
    mlflow_store.configure(first_run["mlflow"]["tracking_uri"])
    client = mlflow.MlflowClient()
    training, evaluation = (
        client.get_run(first_run["mlflow"][key]) for key in ("run_id", "evaluation_run_id")
    )
    assert training.data.params["lora/rank"] == "4"
    assert evaluation.data.params["split/evaluation_per_category"] == "1000"
    assert not training.data.params.keys() & evaluation.data.params.keys()
    assert {"train/loss", "lora/layers_moved"} <= set(training.data.metrics)
    assert {"tuned/accuracy", "baseline/roc_auc", "tfidf/f1"} <= set(evaluation.data.metrics)
    assert training.data.metrics["lora/layers_moved"] == 14
    assert len(client.get_metric_history(training.info.run_id, "train/loss")) == 20
    inputs = [[found.tags[0].value for found in run.inputs.dataset_inputs] for run in (training, evaluation)]
    assert inputs == [["training"], ["evaluation"]]
    assert re.match(r"[0-9a-f]{40}|unknown", training.data.tags["mlflow.source.git.commit"])
    assert training.data.tags["package.torch"]
    assert evaluation.info.run_id in training.data.tags["mlflow.note.content"]
    files = {
        f"{folder}/{Path(item.path).name}"
        for run in (training, evaluation)
        for folder in ("tuned", "baseline", "tfidf", "training", "reports")
        for item in client.list_artifacts(run.info.run_id, folder)
    }
    assert {
        "tuned/confusion_matrix.png",
        "tuned/decision.png",
        "tuned/sample_predictions.json",
        "tuned/samples.html",
        "tuned/classification_report.html",
        "baseline/samples.html",
        "baseline/metrics.json",
        "training/lora_proof.json",
        "training/curves.png",
        "reports/data_report.html",
    } <= files
    samples = json.loads(
        Path(client.download_artifacts(evaluation.info.run_id, "tuned/sample_predictions.json")).read_text()
    )
    assert {"text", "gold", "prediction", "raw_answer"} <= set(samples["columns"])
    card = Path(client.download_artifacts(evaluation.info.run_id, "model_card.md")).read_text()
    shown = client.get_model_version("review-sentiment", first_run["model"]["version"]).description
    assert shown[:4000] == card[:4000]  # MLflow keeps 5,000 characters
    assert card.startswith("This model labels customer reviews as negative or positive")
    assert "All 6 gate checks passed." in card
    assert f"`python run_pipeline.py --config {project.config}` on the stack review-sentiment-local" in card
    assert "PeftModel.from_pretrained(base, files" in card


def test_lineage_leads_from_a_version_to_what_it_was_made_from_and_back(
    project: Project, first_run: dict[str, Any]
) -> None:
    version = first_run["model"]["version"]
    (found,) = json.loads(project.run("lineage", version, "--json").stdout)
    assert found["zenml_run"] == first_run["pipeline_run"]
    assert found["training_run"] is None  # one run did all
    assert found["mlflow_run_id"] == first_run["mlflow"]["run_id"]
    assert found["command"] == f"python run_pipeline.py --config {project.config}"
    assert re.fullmatch(r"[0-9a-f]{40}(\+changes)?|unknown", found["commit"])
    assert found["data_source"] == project.settings["data"]["source"]
    assert re.search(r"Tops: \d+ bytes, [0-9a-f]{16};", found["data_revision"])
    assert re.fullmatch("[0-9a-f]{16}", found["base_revision"])
    assert re.fullmatch(r"[0-9a-f]{16}", found["training_rows"])
    starts = ("zenml_run", "zenml_run_id", "mlflow_run_id", "training_rows", "evaluation_rows")
    for start in starts:
        back = json.loads(project.run("lineage", found[start], "--json").stdout)
        assert version in {one["version"] for one in back}, start

    cached = project.result()  # its registration is in no version's tags
    back = json.loads(project.run("lineage", cached["pipeline_run"], "--json").stdout)
    assert [one["version"] for one in back] == [cached["model"]["version"]]
    shown = project.run("lineage", "champion")
    assert first_run["pipeline_run"] in shown.stdout
    missing = project.run("lineage", "99")
    assert missing.returncode == 2
    assert "'99' is not a version of 'review-sentiment' (there are: " in missing.stderr


def test_zenmls_run_tells_the_version(project: Project, first_run: dict[str, Any]) -> None:
    code = (
        "import json, sys\n"
        "from zenml.client import Client\n"
        "print(json.dumps(dict(Client().get_pipeline_run(sys.argv[1]).run_metadata), default=str))\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code, first_run["pipeline_run"]],
        env=project.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    metadata = json.loads(finished.stdout.splitlines()[-1])
    assert metadata["model"] == "review-sentiment"
    assert metadata["mlflow_run_id"] == first_run["mlflow"]["run_id"]
    assert metadata["model_version"]


def test_a_version_loads_with_plain_mlflow_and_answers_label_and_probability(
    project: Project, first_run: dict[str, Any], tmp_path: Path
) -> None:
    """In a process that knows nothing of this checkout."""
    code = (
        "import json, mlflow, pandas\n"
        f"mlflow.set_tracking_uri({first_run['mlflow']['tracking_uri']!r})\n"
        "model = mlflow.pyfunc.load_model('models:/review-sentiment@champion')\n"
        "frame = pandas.DataFrame({'text': ['This is number 1: great and soft.', 'awful']}, index=[7, 9])\n"
        "answer = model.predict(frame)\n"
        "print(answer.to_json(orient='split'))\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=project.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    answer = pd.DataFrame(**json.loads(finished.stdout.splitlines()[-1]))
    assert list(answer.columns) == ["label", "probability", "p_negative", "p_positive", "model_version"]
    assert list(answer.index) == [7, 9]
    assert set(answer["label"]) <= {"negative", "positive"}
    assert ((answer["p_negative"] + answer["p_positive"] - 1).abs() < 1e-6).all()


def test_nothing_changed_means_everything_is_cached(project: Project, first_run: dict[str, Any]) -> None:
    began = time.monotonic()
    finished = project.run("--json", before=NAMES_HEAVY_MODULES)
    waited = time.monotonic() - began
    assert finished.returncode == 0, finished.stderr
    again = json.loads(finished.stdout)
    assert again["seconds"] <= waited + 0.05  # rounded to 0.1
    assert "heavy modules: []" in finished.stderr, finished.stderr
    assert steps_that_ran(again) == set()
    assert {step["status"] for step in again["steps"].values()} == {"cached"}
    for key in ("metrics", "mlflow"):
        assert again[key] == first_run[key]
    # Its aliases are as they are at the moment: another test's version may be the champion since.
    listed = json.loads(project.run("models", "--json").stdout)
    aliases = next(one["aliases"] for one in listed if one["version"] == first_run["model"]["version"])
    assert again["model"] == first_run["model"] | {"aliases": aliases}


def test_a_dry_run_says_what_would_run(project: Project, first_run: dict[str, Any]) -> None:
    def fates(*options: str) -> dict[str, str]:
        return project.result("--dry-run", *options)["steps"]

    assert fates() == dict.fromkeys(first_run["steps"], "cached")
    changed = fates("--set", "gate.max_unparsed_rate=0.9", "--rerun", "data_report")
    assert {step: fate for step, fate in changed.items() if fate != "cached"} == {
        "data_report": "runs",
        "compare": "runs",
        "register_model": "depends",
    }
    assert fates("--only", "evaluate") == {"evaluate": "runs"}


def test_a_dry_run_on_a_new_machine_makes_no_state(settings: dict[str, Any], tmp_path: Path) -> None:
    plan = Project(ROOT, tmp_path, settings).result("--dry-run")
    assert set(plan["steps"].values()) == {"runs"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml"]


def test_rerun_runs_those_steps_and_takes_the_rest_from_the_cache(
    project: Project, first_run: dict[str, Any]
) -> None:
    again = project.result("--rerun", "evaluate_arm", "--rerun", "ingest_reviews")
    assert steps_that_ran(again) == {"evaluate_arm_tfidf", "ingest_reviews_Tops", "ingest_reviews_Shoes"}


def test_only_runs_one_step_on_the_inputs_of_the_latest_run(
    project: Project, first_run: dict[str, Any]
) -> None:
    """The step has inputs of both kinds: one artifact, and a list of them."""
    alone = project.result("--only", "data_report")
    assert list(alone["steps"]) == ["data_report"]
    assert steps_that_ran(alone) == {"data_report"}
    assert Path(alone["outputs"]["data_report"]).name == "report.html"
    assert "<html" in Path(alone["outputs"]["data_report"]).read_text()


def test_registering_works_when_training_came_from_the_cache(
    project: Project, first_run: dict[str, Any]
) -> None:
    other = project.result("--set", "registry.model_name=another-name")
    assert steps_that_ran(other) == {"evaluate_champion", "register_model"}
    assert other["model"]["name"] == "another-name"
    assert other["mlflow"]["run_id"] == first_run["mlflow"]["run_id"]


def test_a_setting_runs_the_steps_that_it_concerns(project: Project, first_run: dict[str, Any]) -> None:
    other_batches = project.result("--dry-run", "--set", "evaluation.tokens_per_batch=900")["steps"]
    assert {step for step, fate in other_batches.items() if fate == "runs"} == {
        "evaluate_baseline",
        "evaluate",
    }
    assert {step for step, fate in other_batches.items() if fate != "cached"} <= {
        "evaluate_baseline",
        *AFTER_TRAINING,
    }


def version_files(project: Project, result: dict[str, Any]) -> dict[str, bytes]:
    """Return what MLflow keeps of a version's evaluation and evidence: files, figures, parameters, tags."""
    import mlflow

    client = mlflow.MlflowClient(project.tracking_uri)
    version = client.get_model_version(result["model"]["name"], result["model"]["version"])
    evidence = Path(client.get_logged_model(version.source.split("/")[-1]).artifact_location.split("://")[1])
    run = client.get_run(result["mlflow"]["evaluation_run_id"])
    found = {"run": repr((run.data.metrics, run.data.params, sorted(run.data.tags.items()))).encode()}
    for name, root in (("evidence", evidence), ("run", Path(run.info.artifact_uri.split("://")[1]))):
        files = [file for file in root.rglob("*") if file.is_file()]
        found |= {f"{name}/{file.relative_to(root)}": file.read_bytes() for file in files}
    return found


def test_an_evaluation_of_the_champions_adapter_has_a_run_of_its_own_and_no_alias(
    project: Project, first_run: dict[str, Any]
) -> None:
    """One training, evaluated on two sets of reviews: nothing of the first evaluation changes."""
    import mlflow

    before = version_files(project, first_run)
    assert {"run/tuned/predictions.parquet", "run/gate.json", "evidence/evidence/gate.json"} <= before.keys()
    fewer = project.result("--set", "split.evaluation_per_category=16")
    assert "finetune" not in steps_that_ran(fewer)
    assert {"split_reviews", "format_chat_evaluation", "evaluate"} <= steps_that_ran(fewer)
    assert version_files(project, first_run) == before

    first, second = first_run["mlflow"], fewer["mlflow"]
    assert first["run_id"] == second["run_id"]  # one training
    assert first["evaluation_run_id"] != second["evaluation_run_id"]
    client = mlflow.MlflowClient(project.tracking_uri)
    for run in (first, second):
        assert client.get_run(run["evaluation_run_id"]).data.tags["mlflow.parentRunId"] == run["run_id"]
    assert not [name for name in client.get_run(first["run_id"]).data.metrics if name.startswith("tuned/")]

    assert (fewer["model"]["aliases"], fewer["model"]["gate"]) == ([], "same adapter")
    versions = first_run["model"]["version"], fewer["model"]["version"]
    same = f"Same adapter as version {versions[0]}"
    summary = project.run("--set", "split.evaluation_per_category=16").stdout
    assert re.search(rf"gate +same adapter\n +{same}", summary), summary
    card = Path(client.download_artifacts(second["evaluation_run_id"], "model_card.md")).read_text()
    for text in (same, second["evaluation_run_id"], second["run_id"]):
        assert text in card
        assert text in summary

    found = json.loads(project.run("compare", *versions, "--json").stdout)
    assert found["settings"] == {"split.evaluation_per_category": ["1000", "16"]}
    reviews = [str(int(run["metrics"]["tuned"]["n"])) for run in (first_run, fewer)]
    assert found["figures"]["evaluation_reviews"] == reviews
    assert found["test"]["overall"]["n"] == int(reviews[1])
    assert found["test"]["overall"]["gain"] == 0
    (found,) = json.loads(project.run("lineage", second["evaluation_run_id"], "--json").stdout)
    assert (found["version"], found["evaluation_run"]) == (versions[1], second["evaluation_run_id"])


def test_a_gate_that_is_not_passed_makes_a_challenger_with_the_reason_in_its_card(
    project: Project, first_run: dict[str, Any]
) -> None:
    # Under another name: as another evaluation of the champion's adapter, it would not be judged.
    project = project.with_settings(registry={"model_name": "strict"})
    strict = project.result("--set", "gate.min_gain_over_arm=0.99")
    assert steps_that_ran(strict) == {"evaluate_champion", "compare", "register_model"}
    assert strict["model"]["aliases"] == ["challenger"]
    assert strict["model"]["gate"] == "not passed"
    (failed,) = strict["model"]["failed_checks"]
    assert (failed["name"], failed["required"]) == (
        "accuracy over the cheapest arm (TF-IDF + logistic regression)",
        "> +0.990, p at most 1",
    )
    assert failed["measured"]
    listed = project.run("models", "--name", "strict")
    assert listed.returncode == 0, listed.stderr
    version = strict["model"]["version"]
    assert re.search(rf"^{version} +challenger .* not passed", listed.stdout, re.MULTILINE), listed.stdout
    reason = r"accuracy over the cheapest arm \(TF-IDF \+ logistic regression\) is .*, required: > \+0\.990"
    assert re.search(rf"^version {version}: .*{reason}", listed.stdout, re.MULTILINE), listed.stdout
    strict_again = ("--config", str(project.config), "--set", "gate.min_gain_over_arm=0.99")
    summary = project.run(*strict_again).stdout
    assert re.search(rf"gate         not passed\n +{reason}", summary), summary


def test_versions_are_compared_promoted_and_rolled_back(project: Project, first_run: dict[str, Any]) -> None:
    def present() -> str:
        listed = json.loads(project.run("models", "--json").stdout)
        return str(next(one["version"] for one in listed if "champion" in one["aliases"]))

    champion = present()
    settings = ("training.learning_rate=0.003", "gate.min_gain_over_champion=0.9")
    other = project.result(*(word for one in settings for word in ("--set", one)))["model"]
    assert other["aliases"] == ["challenger"]
    compared = project.run("compare", champion, other["version"])
    assert compared.returncode == 0, compared.stderr
    assert re.search(r"^training\.learning_rate +0\.01 +0\.003$", compared.stdout, re.MULTILINE), (
        compared.stdout
    )
    assert re.search(rf"version {other['version']} against version {champion}: accuracy", compared.stdout)
    found = json.loads(project.run("compare", "champion", "challenger", "--json").stdout)
    assert (found["first"], found["second"]) == (champion, other["version"])
    assert found["test"]["overall"]["n"] > 0
    assert all(row["text"] for row in found["changed"])

    promoted = project.run("promote", "challenger")
    assert promoted.returncode == 0, promoted.stderr
    assert "Its gate: not passed" in promoted.stderr
    assert present() == other["version"]
    assert project.run("rollback").returncode == 0
    assert present() == champion
    while (again := project.run("rollback")).returncode == 0:
        pass
    assert again.returncode == 2
    assert "no champion before" in again.stderr
    assert project.run("promote", champion).returncode == 0


def test_results_for_a_paper_have_intervals_seeds_and_vector_figures(
    project: Project, first_run: dict[str, Any], tmp_path: Path
) -> None:
    version = first_run["model"]["version"]
    written = project.run("results", "-o", str(tmp_path), "--versions", version)
    assert written.returncode == 0, written.stderr
    table = pd.read_csv(tmp_path / "results.csv")
    assert set(table["model"]) == {"baseline", "tfidf", "tuned"}
    natural, accuracy = (
        table.query("figure == 'accuracy' and model == 'tuned' and share == @share").iloc[0]
        for share in ("natural", "balanced")
    )
    assert natural["value"] == pytest.approx(first_run["metrics"]["tuned"]["natural"]["accuracy"])
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    assert accuracy["n"] == first_run["metrics"]["tuned"]["n"]
    assert accuracy["seed"] == 42
    assert "\\toprule" in (tmp_path / "summary.tex").read_text()
    assert (tmp_path / "slices.md").read_text().startswith("| dimension | value | n |")
    assert len(json.loads((tmp_path / "results.json").read_text())) == len(table)
    assert (tmp_path / f"version_{version}_tuned_probabilities.pdf").read_bytes().startswith(b"%PDF")


def test_a_version_is_exported_and_its_training_estimated_and_searched(
    project: Project, first_run: dict[str, Any], tmp_path: Path
) -> None:
    config = ["--config", str(project.config)]
    missing = project.run("export", "99", "-o", str(tmp_path / "x"), *config)
    assert missing.returncode == 2
    assert re.search(r"has no version '99'\. There are: .*\b1\b.*champion", missing.stderr), missing.stderr
    # Without --config: its own evaluation reviews count, not the embedded ones.
    exported = project.run("export", first_run["model"]["version"], "-o", str(tmp_path / "merged"))
    assert exported.returncode == 0, exported.stderr
    assert f"On {first_run['metrics']['tuned']['n']:.0f} of the version's evaluation" in exported.stdout
    assert "0.00% of the answers" in exported.stdout
    assert (tmp_path / "merged" / "model.safetensors").is_file()
    with serving(Engine(tmp_path / "merged")) as engine:
        check = re.search("check +python run_pipeline.py (parity .*) --model", exported.stdout)
        assert check, exported.stdout
        words = check[1].replace("http://127.0.0.1:8000", engine.url).split()
        compared = project.run(*words, "--rows", "20", "--json")
        assert compared.returncode == 0, compared.stderr
        found = json.loads(compared.stdout)
        assert (found["same"], found["n"], found["causes"]) == (20, 20, [])
        engine.noise = 20.0
        different = project.run(*words)
        assert different.returncode == 1, different.stdout
        assert "likely cause   another model" in different.stdout

    estimated = project.run("estimate", *config, "--json")
    assert estimated.returncode == 0, estimated.stderr
    found = json.loads(estimated.stdout)
    assert {row["verdict"] for row in found["rows"]} == {"fits"}
    assert found["reviews"] == "80 reviews (training.max_steps batches)"

    searched = project.run("sweep", "--over", "lora.rank=2,4", "--trials", "1", *config)
    assert searched.returncode == 0, searched.stderr
    command = re.escape(f"python run_pipeline.py --config {config[1]} --set lora.rank=")
    assert re.search(rf"^{command}[24]$", searched.stdout, re.MULTILINE), searched.stdout


def test_a_skipped_baseline_leaves_the_rest(project: Project, first_run: dict[str, Any]) -> None:
    without = project.result("--set", "evaluation.skip_baseline=true")
    assert "evaluate_baseline" not in without["steps"]
    assert "baseline" not in without["metrics"]


def test_scoring_in_shards_finds_what_one_step_finds(beside: Project, first_run: dict[str, Any]) -> None:
    whole, sharded = (beside.result("--set", f"evaluation.shards={count}") for count in (1, 2))
    assert {"evaluate_shard_0", "evaluate_shard_1", "evaluate"} <= steps_that_ran(sharded)
    assert "finetune" not in steps_that_ran(sharded)
    one, other = (found["metrics"]["tuned"] for found in (whole, sharded))
    assert set(one.pop("cost")) == set(other.pop("cost"))
    assert set(one.pop("natural")) == set(natural := other.pop("natural"))
    assert natural["share"] == {"negative": 0.5, "positive": 0.5}
    assert other == pytest.approx(one, abs=1e-6)


def test_a_probe_of_robustness_is_in_mlflow_and_in_the_card(
    beside: Project, first_run: dict[str, Any]
) -> None:
    import mlflow

    beside.result()
    probed = beside.result("--set", "robustness.samples=8")
    ran = steps_that_ran(probed)
    assert "probe_robustness" in ran
    assert "finetune" not in ran
    client = mlflow.MlflowClient(probed["mlflow"]["tracking_uri"])
    run_id = probed["mlflow"]["evaluation_run_id"]
    metrics = client.get_run(run_id).data.metrics
    assert {name for name in metrics if name.startswith("robustness/")} == {
        f"robustness/{change}_change"
        for change in ("label_order", "paraphrase_1", "paraphrase_2", "typos", "negation")
    }
    assert [file.path for file in client.list_artifacts(run_id, "robustness")] == ["robustness/probes.csv"]
    version = client.get_model_version(probed["model"]["name"], probed["model"]["version"])
    assert "| a typo in about 5% of the words |" in version.description
    again = beside.result("--set", "robustness.samples=8")
    assert steps_that_ran(again) == set()


def test_edited_functions_run_the_steps_that_reach_them(copied_project: Project) -> None:
    """tests/unit/test_source_fingerprint.py goes through the kinds of edits; here ZenML is asked."""
    sources = copied_project.root / "review_sentiment"
    edit(sources / "scoring" / "label_scoring.py", "Classify reviews by", "Sort reviews by")  # a docstring
    edit(sources / "arms" / "tfidf.py", "INVERSE_REGULARISATION = 10.0", "INVERSE_REGULARISATION = 5.0")
    edit(sources / "registry" / "gate.py", "champion == verdict.champion", "verdict.champion == champion")
    ran = steps_that_ran(copied_project.result())
    assert (
        {"evaluate_arm_tfidf", "register_model"} <= ran <= {"evaluate_arm_tfidf", "compare", "register_model"}
    )

    edit(sources / "data" / "stratification.py", '"order", f', '"other order", f')
    fates = copied_project.result("--dry-run")["steps"]
    assert fates["ingest_reviews_Tops"] == "cached"
    assert fates["split_reviews"] == "runs"
    assert fates["finetune"] == "depends"


def test_a_changed_file_ingests_its_category_only(
    project: Project, first_run: dict[str, Any], settings: dict[str, Any]
) -> None:
    source = Path(settings["data"]["source"]) / "Shoes.jsonl"
    before, modified = source.read_text(), source.stat().st_mtime_ns
    try:
        source.write_text(before + "\n")
        assert steps_that_ran(project.result()) == {"ingest_reviews_Shoes"}
    finally:
        source.write_text(before)
        os.utime(source, ns=(modified, modified))


def test_other_weights_in_the_same_directory_are_another_model(
    project: Project, first_run: dict[str, Any], tmp_path: Path
) -> None:
    """The new file has the old size and time. The cache has no result for it, and no old version uses it."""
    weights = Path(project.settings["model"]["name"]) / "model.safetensors"
    old, times = weights.read_bytes(), weights.stat()
    rows = tmp_path / "rows.csv"
    rows.write_text("text\nsoft and great\n")
    refused = (
        ("score", str(rows), "-o", str(tmp_path / "scored.csv"), "--version", first_run["model"]["version"]),
        ("serve", "--version", first_run["model"]["version"], "--port", str(free_ports(1)[0])),
        ("export", first_run["model"]["version"], "-o", str(tmp_path / "merged")),
    )
    try:
        weights.write_bytes(old[:-4] + b"\0\0\0\x3f")
        os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))
        plan = project.result("--dry-run")["steps"]
        formatted = {f"format_chat_{part}" for part in ("train", "validation", "decision", "evaluation")}
        uses_the_model = {*formatted, "evaluate_baseline", "finetune"}
        assert {step for step, fate in plan.items() if fate == "runs"} <= uses_the_model
        assert {step for step, fate in plan.items() if fate == "cached"} == ALL_STEPS - uses_the_model - (
            AFTER_TRAINING | {"evaluate_arm_tfidf"}
        )
        for command in refused:
            finished = project.run(*command)
            assert finished.returncode == 1, finished.stderr
            assert "(changed: model.safetensors)" in finished.stderr, finished.stderr
    finally:
        weights.write_bytes(old)
    assert set(project.result("--dry-run")["steps"].values()) == {"cached"}
