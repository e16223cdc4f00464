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
    from dashboard.pages import (
        compare,
        configure,
        decision,
        learn,
        machine,
        models,
        run_controls,
        sections,
        self_test,
        speed,
        try_it,
    )
    from dashboard.pages.sections import RUN_PARAMETER, SECTION_PARAMETER, parameter, remember
    from dashboard.queries.machine import read_machine
    from dashboard.queries.versions import model_of, registry_or_notice, trial_chooser, version_chooser
    from dashboard.serving.warm_up import start_in_background, unseen_figure
    from dashboard.widgets.layout import column, row
    from dashboard.widgets.memory_badge import memory_badge


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
def page_state():
    # What the buttons of a page reported last, and when curves were drawn last. Setting a state reruns the
    # cells that call its getter.
    get_run_report, report_run = mo.state("", allow_self_loops=True)
    get_change_report, report_change = mo.state("", allow_self_loops=True)
    get_measured_report, report_measured = mo.state("", allow_self_loops=True)
    get_drawn, set_drawn = mo.state(0.0)
    return (
        get_change_report,
        get_drawn,
        get_measured_report,
        get_run_report,
        report_change,
        report_measured,
        report_run,
        set_drawn,
    )


@app.cell
def machine_view(tab, tick):
    mo.stop(tab.value != sections.MACHINE)
    tick
    machine.machine_page(read_machine())


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
    _typed = from_url[1] if config.value == from_url[0] else {}
    typed, more = configure.make_fields(config.value, _typed), configure.make_other_settings(_typed)
    return more, typed


@app.cell
def configure_form(config, more, stack, typed):
    form = settings_form.read_form(config.value, stack.value, typed.value, more.value)
    remember(settings_form.to_address(form), instead_of=settings_form.all_parameters())
    return (form,)


@app.cell
def configure_view(config, form, more, stack, tab, typed):
    mo.stop(tab.value != sections.CONFIGURE)
    column(
        [
            row([config, stack]),
            configure.fields_view(typed, form),
            mo.accordion({"Other settings": more}),
            configure.problems_view(form),
        ]
    )


@app.cell
def configure_equivalents(form, tab):
    mo.stop(tab.value != sections.CONFIGURE)
    column([memory_badge(form.settings) if form.settings else None, configure.equivalents_view(form)])


@app.cell
def run_start(form, get_run_report, report_run, tab):
    mo.stop(tab.value != sections.RUN)
    get_run_report()
    start = run_controls.start_view(form, report_run)
    start.view
    return (start,)


@app.cell
def run_chooser_view(get_run_report, tab):
    mo.stop(tab.value != sections.RUN)
    get_run_report()
    chosen_run = run_controls.run_chooser(parameter(RUN_PARAMETER))
    chosen_run
    return (chosen_run,)


@app.cell
def run_followed(chosen_run):
    followed = run_controls.FollowedRun.find(chosen_run.value)
    return (followed,)


@app.cell
def run_end_controls(followed, get_run_report, report_run, tab):
    # Rerun when the run ends, but not at each tick: a button must stay in place while it is pressed.
    mo.stop(tab.value != sections.RUN)
    end = run_controls.end_controls(followed, get_run_report(), report_run)
    end.view
    return (end,)


@app.cell
def run_progress(followed, report_run, set_drawn, tab, tick):
    mo.stop(tab.value != sections.RUN)
    tick
    run_controls.refresh_buttons(followed, report_run)
    run_controls.refresh_curves(followed, set_drawn)
    run_controls.run_view(followed)


@app.cell
def run_curves(followed, get_drawn, tab):
    # Rerun less often than the rest: drawing curves takes CPU time from the training.
    mo.stop(tab.value != sections.RUN)
    get_drawn()
    run_controls.live_curves_view(followed)


@app.cell
def compare_choosers(registry, tab):
    mo.stop(tab.value != sections.COMPARE or registry is None)
    pair_chosen = compare.choosers(registry, parameter("first"), parameter("second"))
    row(pair_chosen.elements.values())
    return (pair_chosen,)


@app.cell
def compare_figures(pair_chosen, registry, tab):
    mo.stop(tab.value != sections.COMPARE or registry is None)
    remember(pair_chosen.value)
    pair, _missing = compare.read_pair(registry, pair_chosen.value)
    compare.figures_view(pair) if pair else _missing
    return (pair,)


@app.cell
def compare_pictures(pair, tab):
    mo.stop(tab.value != sections.COMPARE or pair is None)
    pictures = compare.pictures_view(pair)
    pictures.view
    return (pictures,)


@app.cell
def compare_answers_kind(pair, tab):
    mo.stop(tab.value != sections.COMPARE or pair is None)
    change_chosen = compare.change_chooser()
    column([mo.md("### Answers"), change_chosen])
    return (change_chosen,)


@app.cell
def compare_answers(change_chosen, pair, tab):
    mo.stop(tab.value != sections.COMPARE or pair is None)
    answers_shown = compare.answers_view(pair, change_chosen.value)
    answers_shown
    return (answers_shown,)


@app.cell
def compare_list(tab):
    mo.stop(tab.value != sections.COMPARE)
    listed = compare.list_chooser()
    column([mo.md("### Curves of several runs"), listed])
    return (listed,)


@app.cell
def compare_runs(form, listed, registry, tab):
    mo.stop(tab.value != sections.COMPARE or registry is None)
    recorded_runs = compare.read_runs(form, listed.value)
    runs_chosen = compare.run_choosers(recorded_runs)
    column(runs_chosen.elements.values())
    return recorded_runs, runs_chosen


@app.cell
def compare_curves(recorded_runs, runs_chosen, tab):
    mo.stop(tab.value != sections.COMPARE)
    overlaid = compare.overlaid_view(recorded_runs, runs_chosen.value["runs"], runs_chosen.value["figure"])
    overlaid.view
    return (overlaid,)


@app.cell
def try_it_fields(registry, tab):
    mo.stop(tab.value != sections.TRY or registry is None)
    tried_version, review = trial_chooser(registry), try_it.review_fields()
    column([tried_version, *review.elements.values()])
    return review, tried_version


@app.cell
def try_it_load(registry, tab, tried_version):
    mo.stop(tab.value != sections.TRY or registry is None)
    tried_models, _missing = try_it.models_or_notice(registry.find(tried_version.value or ""))
    _missing
    return (tried_models,)


@app.cell
def try_it_answers(review, tab, tried_models):
    mo.stop(tab.value != sections.TRY or tried_models is None)
    try_it.both_answers_view(tried_models, review.value["title"], review.value["text"])


@app.cell
def try_it_words(review, tab, tried_models):
    mo.stop(tab.value != sections.TRY or tried_models is None)
    try_it.words_view(tried_models, review.value["title"], review.value["text"])


@app.cell
def page_versions(form, get_change_report, get_run_report, tab):
    mo.stop(tab.value not in sections.NEED_VERSIONS)
    get_change_report()
    get_run_report()
    registry, _problem = registry_or_notice(model_of(form))
    _problem
    return (registry,)


@app.cell
def models_list(get_change_report, registry, report_change, tab):
    mo.stop(tab.value != sections.MODELS or registry is None)
    change = models.change_view(registry, get_change_report(), report_change)
    column([models.versions_view(registry), change.view])
    return (change,)


@app.cell
def models_chooser(registry, tab):
    mo.stop(tab.value != sections.MODELS or registry is None)
    shown_version = version_chooser(registry, label="Details of")
    shown_version
    return (shown_version,)


@app.cell
def models_figures(registry, shown_version, tab):
    mo.stop(tab.value != sections.MODELS or not shown_version.value)
    rule_found, _missing = decision.read_or_notice(registry.find(shown_version.value))
    decision.figures_view(rule_found) if rule_found else _missing
    return (rule_found,)


@app.cell
def models_threshold(rule_found, tab):
    mo.stop(tab.value != sections.MODELS or rule_found is None)
    threshold = decision.threshold_slider(rule_found)
    column([mo.md("### A thousand reviews of production"), threshold])
    return (threshold,)


@app.cell
def models_effect(rule_found, tab, threshold):
    mo.stop(tab.value != sections.MODELS or rule_found is None)
    decision.effect_view(rule_found, threshold.value)


@app.cell
def models_curves(rule_found, tab):
    mo.stop(tab.value != sections.MODELS or rule_found is None)
    rule_curves = decision.curves_view(rule_found)
    rule_curves.view
    return (rule_curves,)


@app.cell
def models_version(registry, shown_version, tab):
    mo.stop(tab.value != sections.MODELS or not shown_version.value)
    models.version_view(registry.find(shown_version.value))


@app.cell
def learn_update(registry, tab):
    mo.stop(tab.value != sections.LEARN or registry is None)
    learn_version = registry.champion or next(iter(registry.versions), None)
    update_chosen = learn.update_choosers(learn_version)
    column([mo.md(learn.WHY_LORA), row(update_chosen.elements.values())])
    return learn_version, update_chosen


@app.cell
def learn_low_rank(learn_version, tab, update_chosen):
    mo.stop(tab.value != sections.LEARN)
    learn.low_rank_view(learn_version, update_chosen.value)


@app.cell
def learn_weight(tab):
    mo.stop(tab.value != sections.LEARN)
    weight = learn.weight_chooser()
    column([mo.md(learn.WHAT_NF4), weight])
    return (weight,)


@app.cell
def learn_rounding(tab, weight):
    mo.stop(tab.value != sections.LEARN)
    learn.quantisation_view(None if weight is None else weight.value)


@app.cell
def learn_rank(learn_version, tab):
    mo.stop(tab.value != sections.LEARN)
    column([learn.rank_view(), learn.mistakes_view(learn_version)])


@app.cell
def cpu_and_gpu(get_measured_report, report_measured, tab):
    mo.stop(tab.value != sections.SPEED)
    measurement = speed.speed_view(read_machine(), get_measured_report(), report_measured)
    measurement.view
    return (measurement,)


@app.cell
def self_test_view(registry, tab):
    mo.stop(tab.value != sections.SELF_TEST or registry is None)
    self_test.self_test_view(registry)


@app.cell
def page_warm_up():
    # Last, so that the first page does not wait for what only the other pages need
    start_in_background()
    unseen = unseen_figure()
    unseen.view
    return (unseen,)


if __name__ == "__main__":
    app.run()
