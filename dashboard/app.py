"""The dashboard: python run_pipeline.py ui, or: marimo run dashboard/app.py.

The cells only connect functions from `dashboard/pages/`. A section's cells run while its tab is open. Their
names start with the section's name: `head.html` hides all other cells as soon as a tab is clicked.
Typed settings are kept in the URL, runs on disk.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(
    width="medium", app_title="review-sentiment", css_file="assets/app.css", html_head_file="assets/head.html"
)

with app.setup:
    import sys
    from pathlib import Path

    import marimo as mo

    # `marimo run` puts this file's directory on the path; the project is its parent.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

    from front_door.state import prepare_environment

    prepare_environment()

    from dashboard import settings_form
    from dashboard.pages import sections
    from dashboard.pages.sections import RUN_PARAMETER, SECTION_PARAMETER, parameter, remember
    from dashboard.queries.machine import read_machine
    from dashboard.widgets.layout import column, row


@app.cell(hide_code=True)
def page_title():
    column([mo.md("## review-sentiment"), sections.guard_notice()])


@app.cell
def page_tabs():
    tab = mo.ui.tabs(
        dict.fromkeys(sections.SECTIONS, ""),
        value=sections.section_of(parameter(SECTION_PARAMETER)),
        on_change=lambda name: remember({SECTION_PARAMETER: name}),
    )
    tab
    return (tab,)


@app.cell
def page_tick(tab):
    _live = tab.value in {sections.MACHINE, sections.RUN}
    tick = (
        mo.ui.refresh(options=["2s", "10s"], default_interval="2s", label="Refresh every") if _live else None
    )
    tick
    return (tick,)


@app.cell
def machine(tab, tick):
    # Machine
    mo.stop(tab.value != sections.MACHINE, None)
    tick
    from dashboard.pages.machine import machine_page

    machine_page(read_machine())


@app.cell
def configure_start():
    # Configure: the configuration whose values the fields start from
    _config, _stack, _typed = settings_form.from_address(sections.address())
    config = mo.ui.dropdown(settings_form.config_names(), value=_config, label="Start from")
    stack = mo.ui.dropdown(list(settings_form.STACKS), value=_stack, label="Stack")
    from_url = (_config, _typed)
    return config, from_url, stack


@app.cell
def configure_fields(config, from_url):
    # The settings in the URL belong to its configuration; any other one starts with its own values.
    from dashboard.pages.configure import make_fields, make_other_settings

    _typed = from_url[1] if config.value == from_url[0] else {}
    typed, more = make_fields(config.value, _typed), make_other_settings(_typed)
    return more, typed


@app.cell
def configure_form(config, more, stack, typed):
    form = settings_form.read_form(config.value, stack.value, typed.value, more.value)
    remember(settings_form.to_address(form), instead_of=settings_form.all_parameters())
    return (form,)


@app.cell
def configure(config, form, more, stack, tab, typed):
    mo.stop(tab.value != sections.CONFIGURE, None)
    from dashboard.pages.configure import fields_view, problems_view

    column(
        [
            row([config, stack]),
            fields_view(typed, form),
            mo.accordion({"Other settings": more}),
            problems_view(form),
        ]
    )


@app.cell
def configure_equivalents(form, tab):
    mo.stop(tab.value != sections.CONFIGURE, None)
    from dashboard.pages.configure import equivalents_view
    from dashboard.widgets.memory_badge import memory_badge

    column([memory_badge(form.settings) if form.settings else None, equivalents_view(form)])


@app.cell
def run_state():
    # Run: what a button reported last, and when the curves were drawn last; setting one reruns its readers.
    get_reported, report = mo.state("", allow_self_loops=True)
    get_drawn, set_drawn = mo.state(0.0)
    return get_drawn, get_reported, report, set_drawn


@app.cell
def run_start(form, get_reported, report, tab):
    mo.stop(tab.value != sections.RUN, None)
    get_reported()
    from dashboard.pages.run_controls import start_view

    start = start_view(form, report)
    start.view
    return (start,)


@app.cell
def run_chooser_view(get_reported, tab):
    mo.stop(tab.value != sections.RUN, None)
    get_reported()
    from dashboard.pages.run_controls import run_chooser

    chosen_run = run_chooser(parameter(RUN_PARAMETER))
    chosen_run
    return (chosen_run,)


@app.cell
def run_followed(chosen_run):
    from dashboard.pages.run_controls import FollowedRun

    followed = FollowedRun.find(chosen_run.value)
    return (followed,)


@app.cell
def run_end(followed, get_reported, report, tab):
    # Rerun when the run ends, but not at each tick: a button must stay in place while it is pressed.
    mo.stop(tab.value != sections.RUN, None)
    from dashboard.pages.run_controls import end_controls

    end = end_controls(followed, get_reported(), report)
    end.view
    return (end,)


@app.cell
def run_progress(followed, report, set_drawn, tab, tick):
    mo.stop(tab.value != sections.RUN, None)
    tick
    from dashboard.pages.run_controls import refresh_buttons, refresh_curves, run_view

    refresh_buttons(followed, report)
    refresh_curves(followed, set_drawn)
    run_view(followed)
    return


@app.cell
def run_curves(followed, get_drawn, tab):
    # Rerun less often than the rest: drawing curves takes CPU time from the training.
    mo.stop(tab.value != sections.RUN, None)
    get_drawn()
    from dashboard.pages.run_controls import live_curves_view

    live_curves_view(followed)


@app.cell
def compare_choosers(registry, tab):
    # Compare
    mo.stop(tab.value != sections.COMPARE or registry is None, None)
    from dashboard.pages.compare import choosers

    pair_chosen = choosers(registry, parameter("first"), parameter("second"))
    row(pair_chosen.elements.values())
    return (pair_chosen,)


@app.cell
def compare_figures(pair_chosen, registry, tab):
    mo.stop(tab.value != sections.COMPARE or registry is None, None)
    from dashboard.pages.compare import figures_view, read_pair

    remember(pair_chosen.value)
    pair, _missing = read_pair(registry, pair_chosen.value)
    figures_view(pair) if pair else _missing
    return (pair,)


@app.cell
def compare_pictures(pair, registry, tab):
    mo.stop(tab.value != sections.COMPARE or pair is None, None)
    from dashboard.pages.compare import pictures_view

    pictures = pictures_view(registry, pair)
    pictures.view
    return (pictures,)


@app.cell
def compare_answers_kind(pair, tab):
    mo.stop(tab.value != sections.COMPARE or pair is None, None)
    from dashboard.pages.compare import change_chooser
    from dashboard.queries.comparison import recorded_answers

    change_chosen, answers = change_chooser(), recorded_answers(pair[0].choice, pair[1].choice)
    column([mo.md("### Answers"), change_chosen])
    return answers, change_chosen


@app.cell
def compare_answers(answers, change_chosen, tab):
    mo.stop(tab.value != sections.COMPARE, None)
    from dashboard.pages.compare import answers_view

    answers_shown = answers_view(answers, change_chosen.value)
    answers_shown
    return (answers_shown,)


@app.cell
def compare_list(tab):
    mo.stop(tab.value != sections.COMPARE, None)
    from dashboard.pages.compare import list_chooser

    listed = list_chooser()
    column([mo.md("### Curves of several runs"), listed])
    return (listed,)


@app.cell
def compare_runs(form, listed, registry, tab):
    mo.stop(tab.value != sections.COMPARE or registry is None, None)
    from dashboard.pages.compare import read_runs, run_choosers

    recorded_runs = read_runs(form, listed.value)
    runs_chosen = run_choosers(recorded_runs)
    column(runs_chosen.elements.values())
    return recorded_runs, runs_chosen


@app.cell
def compare_curves(recorded_runs, runs_chosen, tab):
    mo.stop(tab.value != sections.COMPARE, None)
    from dashboard.pages.compare import overlaid_view

    overlaid = overlaid_view(recorded_runs, runs_chosen.value["runs"], runs_chosen.value["figure"])
    overlaid.view
    return (overlaid,)


@app.cell
def try_it_fields(registry, tab):
    # Try it
    mo.stop(tab.value != sections.TRY or registry is None, None)
    from dashboard.pages.try_it import review_fields
    from dashboard.queries.versions import trial_chooser

    tried_version, review = trial_chooser(registry), review_fields()
    column([tried_version, *review.elements.values()])
    return review, tried_version


@app.cell
def try_it_load(registry, tab, tried_version):
    mo.stop(tab.value != sections.TRY or registry is None, None)
    from dashboard.pages.try_it import models_or_notice

    tried_models, _missing = models_or_notice(registry.find(tried_version.value or ""))
    _missing
    return (tried_models,)


@app.cell
def try_it_answers(review, tab, tried_models):
    mo.stop(tab.value != sections.TRY or tried_models is None, None)
    from dashboard.pages.try_it import both_answers_view

    both_answers_view(tried_models, review.value["title"], review.value["text"])
    return


@app.cell
def try_it_words(review, tab, tried_models):
    mo.stop(tab.value != sections.TRY or tried_models is None, None)
    from dashboard.pages.try_it import words_view

    words_view(tried_models, review.value["title"], review.value["text"])
    return


@app.cell
def models_state():
    # Models: what was pressed last
    get_changed, report_change = mo.state("", allow_self_loops=True)
    return get_changed, report_change


@app.cell
def page_versions(form, get_changed, get_reported, tab):
    mo.stop(tab.value not in sections.NEED_VERSIONS, None)
    get_changed()
    get_reported()
    from dashboard.queries.versions import model_of, registry_or_notice

    registry, _problem = registry_or_notice(model_of(form))
    _problem
    return (registry,)


@app.cell
def models_list(get_changed, registry, report_change, tab):
    mo.stop(tab.value != sections.MODELS or registry is None, None)
    from dashboard.pages.models import change_view, versions_view

    change = change_view(registry, get_changed(), report_change)
    column([versions_view(registry), change.view])
    return (change,)


@app.cell
def models_chooser(registry, tab):
    mo.stop(tab.value != sections.MODELS or registry is None, None)
    from dashboard.queries.versions import version_chooser

    shown_version = version_chooser(registry, label="Details of")
    shown_version
    return (shown_version,)


@app.cell
def models_version(registry, shown_version, tab):
    mo.stop(tab.value != sections.MODELS or not shown_version.value, None)
    from dashboard.pages.models import version_view

    version_view(registry.find(shown_version.value))


@app.cell
def learn_update(registry, tab):
    # Learn
    mo.stop(tab.value != sections.LEARN or registry is None, None)
    from dashboard.pages.learn import WHY_LORA, update_choosers

    learn_version = registry.champion or next(iter(registry.versions), None)
    update_chosen = update_choosers(learn_version)
    column([mo.md(WHY_LORA), row(update_chosen.elements.values())])
    return learn_version, update_chosen


@app.cell
def learn_low_rank(learn_version, tab, update_chosen):
    mo.stop(tab.value != sections.LEARN, None)
    from dashboard.pages.learn import low_rank_view

    low_rank_view(learn_version, update_chosen.value)
    return


@app.cell
def learn_weight(tab):
    mo.stop(tab.value != sections.LEARN, None)
    from dashboard.pages.learn import WHAT_NF4, weight_chooser

    weight = weight_chooser()
    column([mo.md(WHAT_NF4), weight])
    return (weight,)


@app.cell
def learn_rounding(tab, weight):
    mo.stop(tab.value != sections.LEARN, None)
    from dashboard.pages.learn import quantisation_view

    quantisation_view(None if weight is None else weight.value)
    return


@app.cell
def learn_rank(tab):
    mo.stop(tab.value != sections.LEARN, None)
    from dashboard.pages.learn import FULL_TUNING, rank_view

    column([rank_view(), mo.md(FULL_TUNING)])
    return


@app.cell
def learn_mistakes(learn_version, tab):
    mo.stop(tab.value != sections.LEARN, None)
    from dashboard.pages.learn import mistakes_view

    mistakes_view(learn_version)
    return


@app.cell
def cpu_and_gpu_state():
    # CPU and GPU: what the button reported last
    get_measured, report_measured = mo.state("", allow_self_loops=True)
    return get_measured, report_measured


@app.cell
def cpu_and_gpu(get_measured, report_measured, tab):
    mo.stop(tab.value != sections.SPEED, None)
    from dashboard.pages.speed import speed_view

    speed = speed_view(read_machine(), get_measured(), report_measured)
    speed.view
    return (speed,)


@app.cell
def self_test(registry, tab):
    # Self-test
    mo.stop(tab.value != sections.SELF_TEST or registry is None, None)
    from dashboard.pages.self_test import self_test_view

    self_test_view(registry)
    return


@app.cell
def page_warm_up():
    # Last, so that the first page does not wait for what only the other pages need
    from dashboard.serving.warm_up import start_in_background, unseen_figure

    start_in_background()
    unseen = unseen_figure()
    unseen.view
    return (unseen,)


if __name__ == "__main__":
    app.run()
