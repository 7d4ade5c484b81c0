"""The findings page: plain text made from the tables, with a few figures.

Every number of the text comes from a table of `kuzbass.experiments.findings`, and sentences turn
with the result.  The same findings give the same bytes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from kuzbass.errors import InputError
from kuzbass.experiments.calibration_wide import CLAIMS
from kuzbass.experiments.lab.attain import STRATEGY, VERDICTS
from kuzbass.experiments.lab.plan import NONE
from kuzbass.region.crises import GROUPS
from kuzbass.region.data import read_table
from kuzbass.report import findings_figures as figures
from kuzbass.report.book import LEFT_OUT
from kuzbass.report.style import unit_label

if TYPE_CHECKING:
    from kuzbass.experiments.findings import Findings
    from kuzbass.experiments.lab.attain import AttainResult

__all__ = ["PAGE", "findings_page", "publish", "write_findings"]

PAGE = "findings.md"
_TOLD = 3  # examples of a long list
_FACTORS = 5  # of an output
_LARGE_GAP = 1.0  # percent; smaller contradictions are named no more than counted
_STRONG = 0.1  # share of the variance from which a factor is said to matter
_BEST = 1.0 / 3.0  # of the policies by every ranking, to be called robust
_SHADE = 0.005  # shares below are printed as zero
_ALIKE = ((0.8, "agree"), (0.3, "agree in part"),
          (-1.0, "do not agree: which policy is best hangs on what is asked for"))
Row = Sequence[object]


def write_findings(found: Findings, folder: Path) -> list[str]:
    """Write the page and its figures into `folder`; return their names."""
    drawn = figures.findings_figures(found)
    for name, figure in drawn.items():
        figures.save(figure, folder / name)
    (folder / PAGE).write_text(findings_page(found), encoding="utf-8")
    return [*drawn, PAGE]


def publish(names: Iterable[str], source: Path, folder: Path) -> None:
    """Copy page and figures into a folder that holds other things too, each file as a whole.

    Raises
    ------
    InputError
        The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            part = folder / f".{name}.part"
            shutil.copyfile(source / name, part)
            part.replace(folder / name)
    except OSError as error:
        raise InputError(f"the page cannot be written ({error.strerror or error})", file=folder,
                         key="--page", allowed="a folder that you may write to") from error


def findings_page(found: Findings) -> str:
    """Return the page as Markdown."""
    sections = (_head(found), _chain(found), _claims(found), _targets(found), _strategy(found),
                _thresholds(found), _policies(found), _sensitivity(found), _limits(found))
    return "\n\n".join(line for section in sections for line in section) + "\n"


def _head(found: Findings) -> list[str]:
    model = found.manifest["model"]
    plans = ", ".join(f"`scenarios/plans/{name}`" for name in found.plans)
    barred = found.chain["inside"].dropna().astype(bool)
    defined = found.claims[found.claims["verdict"] != "not defined"]
    targets = found.comparison.targets
    robust = _robust_policies(found)
    lines = [
        "# Findings",
        "Made by `kuzbass findings --page docs`; no number below is typed by hand. Model "
        f"`sdmodels/{model['file']}`, sha256 `{model['sha256']}`. Plans: {plans}.",
    ]
    if found.quick:
        lines.append("**Made with the small samples of `--quick`: no number below is a result.**")
    return [*lines, "\n".join([
        f"- The domino chain of {found.replay.first}: {_of(barred.sum(), len(barred), 'bar')} met.",
        f"- The paper's claims on the index: {(defined['verdict'] == 'holds').sum()} of "
        f"{_count(len(defined), 'reading')} hold in a model that is not told of them.",
        f"- The paper's targets: {targets['inside'].sum()} of {len(targets)} are met.",
        "- Robust policies: " + (_and(f"**{title}**" for title in robust) if robust else
                                 "none stands in the first third by all three rankings") + ".",
        f"- What matters most for the index: {_strongest(found)}.",
    ])]


def _chain(found: Findings) -> list[str]:
    replay, chain = found.replay, found.chain
    barred = chain[chain["inside"].notna()]
    good = barred["inside"].astype(bool)
    missed = list(barred.loc[~good, "label"])
    verdict = ("Yes: every link with a bar is within it" if not missed else
               f"In part: {_of(good.sum(), len(barred), 'bar')} met")
    rows = [(row["label"], _signed(row["observed"]), _signed(row["simulated"]),
             _signed(row["without"]), _bar(row), _met(row["inside"])) for _, row in
            chain.iterrows()]
    waterfall = replay.waterfall
    fall = waterfall[waterfall["variable"] == "real GRP index"].iloc[0]
    parts = sorted(((name, float(fall[name])) for name in GROUPS), key=lambda one: -abs(one[1]))
    added = ", ".join(f"{name} {_signed(value)}" for name, value in parts)
    return [
        f"## 1. Does the domino chain reproduce {replay.first}?",
        f"{verdict}{'; outside: ' + _and(missed) if missed else ''}. The model runs freely from "
        "2000 with outside drivers alone and begins the crisis from its own state.",
        _table((f"change {replay.first - 1}-{replay.first}, %", "observed", "simulated",
                "without the shock", "bar", "met"), rows),
        f"Real GRP changes by {_signed(fall['simulated'])} %. Without the shock it would have "
        f"changed by {_signed(fall['without'])} %: that part was on its way. "
        f"Points that the drivers add: {added} (Shapley values).",
        _figure(figures.CHAIN, f"Observed and simulated changes of {replay.first}"),
    ]


def _bar(row: pd.Series) -> str:
    if not pd.isna(row["bar"]):
        return f"±{row['bar']:g}"
    return "-" if pd.isna(row["inside"]) else "a fall"


def _met(inside: Any) -> str:
    return "-" if pd.isna(inside) else "yes" if inside else "**no**"


def _claims(found: Findings) -> list[str]:
    claims = found.claims
    defined = claims[claims["verdict"] != "not defined"]
    holds = defined[defined["verdict"] == "holds"]
    rows = [(f"{row['claim']} ({_unit(row['unit'])})", row["against"],
             _number(row["published"], 2), _number(row["simulated"], 2), _verdict(row["verdict"]),
             _share(row["family_share"]), _share(row["draw_share"]))
            for _, row in claims.iterrows()]
    firm = defined[(defined["family_share"] < _SHADE) & (defined["draw_share"] < _SHADE)]
    named = dict.fromkeys(str(claim).partition(":")[0] for claim in holds["claim"])
    told = f"What holds: {_and(named)}." if named else ""
    lines = [
        "## 2. Which claims of the paper on the index hold endogenously?",
        f"{len(holds)} of {_count(len(defined), 'reading')} of the claims hold on the default "
        f"list of indicators. {told} {_count(len(firm), 'reading')} "
        f"{'holds' if len(firm) == 1 else 'hold'} in no list and in no draw.",
        _table(("claim", "base", "published", "simulated", "verdict", "share of lists",
                "share of draws"), rows),
        "The list of indicators is reconstructed: the share of lists counts all admissible ones. "
        f"The share of draws counts {_count(found.draws, 'run')} of each scenario over the "
        f"parameters ({found.varied}), with the default list. Base: the 2019 or 2021 of the same "
        "run, or the observed one.",
    ]
    end = _ends(found)
    return [*lines, end] if end else lines


def _ends(found: Findings) -> str:
    """Tell whether the scenarios end in the order of the paper."""
    targets = found.comparison.targets
    grp = targets[(targets["variable"] == "real GRP index")
                  & (targets["year"] == targets["year"].max())]
    if grp.empty:
        return ""
    simulated = grp.sort_values("simulated", ascending=False)
    wanted = grp.sort_values("low", ascending=False)
    same = list(simulated["scenario"]) == list(wanted["scenario"])
    told = ", ".join(f"`{row['scenario']}` {row['simulated']:.0f}"
                     for _, row in simulated.iterrows())
    return (f"Real GRP of {grp['year'].iloc[0]} in percent of 2019: {told}. This is "
            f"{'the' if same else 'not the'} order of the paper.")


def _targets(found: Findings) -> list[str]:
    distance = found.comparison.distance.set_index("scenario")
    asked = {name: one for name, one in found.attained.items() if name in distance.index}
    rows = []
    for name, row in distance.iterrows():
        one = asked.get(str(name))
        rows.append((
            f"`{name}`", int(row["rows"]), int(row["inside"]), f"{row['rms_gap_relative']:.0%}",
            *(["-"] * 5 if one is None else _reached(one))))
    together = found.comparison.targets
    return [
        "## 3. What would the targets take?",
        f"{together['inside'].sum()} of {len(together)} targets are met as the scenarios stand. "
        "The table says how many can be met together if levers, outside drivers or both move "
        "within their ranges and the budget of the plan, with the smallest effort. An effort of 1 "
        "is one cause moved over its whole range for the whole time. The search is local: a larger "
        "set may exist.",
        _table(("scenario", "targets", "met", "rms gap", "by levers", "by drivers", "by both",
                "effort", "contradictions"), rows),
        _figure(figures.TARGETS, "What each target would take, asked for alone"),
        *(line for name, one in asked.items() for line in _asked(found.titles[name], one)),
    ]


def _reached(one: AttainResult) -> list[object]:
    """Return how many targets are met together by levers, drivers and both, effort, conflicts."""
    sets = one.sets.set_index("moves")
    return [*(sets["met"][name] for name in ("levers", "drivers", "all")),
            _number(float(sets["effort"]["all"]), 1), len(one.conflicts)]


def _asked(title: str, one: AttainResult) -> list[str]:
    table = one.targets
    count = table["verdict"].value_counts()
    luck = table[table["verdict"].isin(VERDICTS[2:4])]
    never = table[table["verdict"] == VERDICTS[4]]
    large = one.conflicts[one.conflicts["gap"] >= _LARGE_GAP]
    prices = table[table["price"] > _SHADE].nlargest(_TOLD, "price")
    lines = [
        f"- Alone: {', '.join(f'{count[name]} {name}' for name in VERDICTS if name in count)}.",
        f"- Outside luck, in prices, demand or national growth, is needed for {len(luck)}: "
        f"{_names(luck)}." if len(luck) else "- No target needs outside luck.",
        f"- Out of reach even alone: {_names(never)}." if len(never) else
        "- No target is out of reach alone.",
        f"- {_count(len(one.conflicts), 'pair')} that can each be met alone cannot be met "
        f"together, {len(large)} of them by {_LARGE_GAP:g} % or more"
        + (": " + "; ".join(
            f"{_short(row['first'])} {row['first_year']} with {_short(row['second'])} "
            f"{row['second_year']} ({row['gap']:.1f} %)"
            for _, row in large.head(_TOLD).iterrows()) if len(large) else "") + "."
        if len(one.conflicts) else "- No two reachable targets contradict each other.",
        "- Dearest in the largest set, effort saved if the target gives way by 1 %: " + ", ".join(
            f"{_short(row['indicator'])} {row['year']} ({row['price']:.2f})"
            for _, row in prices.iterrows()) + "." if len(prices) else
        "- No target of the largest set has a price: giving way saves nothing.",
    ]
    return [f"**{title}**", "\n".join(lines)]


def _names(table: pd.DataFrame) -> str:
    return ", ".join(f"{_short(str(name))} {'/'.join(str(year) for year in own['year'])}"
                     for name, own in table.groupby("indicator", sort=False))


def _short(indicator: str) -> str:
    return indicator.partition(",")[0].replace(" of the population", "")


def _strategy(found: Findings) -> list[str]:
    published = read_table("index_published.csv")
    lines = []
    for name in published.loc[published["item"] == STRATEGY, "scenario"]:
        if name not in found.attained:
            continue
        one = found.attained[name]
        row = one.targets.iloc[0]
        reach = row["verdict"] != VERDICTS[4]
        wider = ("" if reach else f" Ranges of the drivers {row['stretch']:g} times as wide "
                 "would be enough." if not pd.isna(row["stretch"]) else
                 " Ranges of the drivers three times as wide are not enough either.")
        closest = (row["low"] * (1.0 - row["gap"] / 100.0)) if not reach else row["low"]
        lines.append(
            f"The official {row['low']:.0f} Mt in {row['year']} are "
            f"{'within reach ' + str(row['verdict']) if reach else 'out of reach'}. Without change "
            f"`{one.start}` gives {row['own']:.0f} Mt"
            + (f"; the causes of the plan bring it to {closest:.0f} Mt at most." if not reach
               else f"; the effort is {row['effort']:.1f}.") + wider)
    return ["### The official strategy", *lines]


def _thresholds(found: Findings) -> list[str]:
    surface = next(iter(found.attained.values())).surface
    rows = [(f"{row['claim']} {row['low']:.0f}-{row['high']:.0f} Mt", row["years"],
             _number(row["price"], 0), _number(row["bar"], 2),
             "-" if pd.isna(row["lowest"]) else f"{_number(row['lowest'], 2)} to "
             f"{_number(row['highest'], 2)}", row["verdict"])
            for _, row in surface.claims.iterrows()]
    return [
        "### The claim on thresholds",
        "The paper says that the reached level of resilience holds at 220-230 Mt and average "
        "long-run prices, and that 150-170 Mt lower it, still above zero. It names no years for "
        f"the price, so two readings are given. Output and index are means of "
        f"{surface.years[0]}-{surface.years[1]} of runs of `{surface.scenario}` in which demand "
        "and prices are moved.",
        _table(("claim", "long-run price of", "USD a tonne", "index at least", "index there",
                "verdict"), rows),
        _figure(figures.SURFACE, "The index over coal output and price, with the claims"),
    ]


def _robust_policies(found: Findings) -> list[str]:
    """Return the titles of policies that stand in the first third by every ranking."""
    table = found.policies
    last = max(1.0, _BEST * len(table))
    ranks = table[["regret_rank", "percentile_rank", "satisficing_rank"]].max(axis=1)
    good = table[(ranks <= last) & (table["dominated_by"] == "") & (table["policy"] != NONE)]
    return list(good.sort_values("regret_rank")["title"])


def _policies(found: Findings) -> list[str]:
    plan, table = found.robust.plan, found.policies
    titles = table.set_index("policy")["title"]
    costs = [name for name in table.columns if str(name).endswith("cost")]
    unit = unit_label(found.robust.units[plan.headline])
    order = table.sort_values(["regret_rank", "policy"])
    rows = [(row["title"], f"{row['regret_rank']:g}", _number(row["regret"], 2),
             _share(row["satisficing"]), _number(row["loss"], 2),
             *(_number(row[name], 0) for name in costs),
             titles[row["dominated_by"]] if row["dominated_by"] else "-")
            for _, row in order.iterrows()]
    robust = _robust_policies(found)
    dominated = table[table["dominated_by"] != ""]
    none = table[table["policy"] == NONE].iloc[0]
    spared = table.nsmallest(1, "loss").iloc[0]
    thresholds = "; ".join(one.told() for one in plan.thresholds)
    return [
        "## 4. Which policies are robust, and what do they cost?",
        f"{_count(len(found.robust.futures), 'future')}, {len(table)} policies. A policy is called "
        "robust here if it stands in the first third by minimax regret, by its low percentile and "
        f"by satisficing, and no other dominates it. {_sentence(robust)} Regret and percentile "
        f"are those of the {plan.headline} ({unit}). Satisficing: the share of futures with "
        f"{thresholds}. Costs are sums beyond no policy, bn RUB, by who pays; loss: mean loss in a "
        f"crisis as that of {found.replay.first}.",
        _table(("policy", "regret rank", "largest regret", "satisficing", "loss in a crisis",
                *(name.removesuffix(" cost") for name in costs), "dominated by"), rows),
        f"Without policy the thresholds are met in {_share(none['satisficing'])} of the futures. "
        f"The smallest loss in a crisis is {_number(spared['loss'], 2)} "
        f"({spared['title']}), against {_number(none['loss'], 2)} without policy. "
        + (f"Dominated, nowhere better and somewhere worse on average: "
           f"{_and(dominated['title'])}." if len(dominated) else "No policy is dominated."),
        _agreement(found),
        *_boxes(found),
        _figure(figures.POLICIES, "Share of the futures in which policies meet the thresholds"),
    ]


def _sentence(robust: Sequence[str]) -> str:
    if not robust:
        return "None is."
    return f"{_and(robust)} {'is' if len(robust) == 1 else 'are'}."


def _agreement(found: Findings) -> str:
    table = found.robust.agreement
    own = table[(table["of"] == "robustness") & (table["held"] == found.robust.plan.headline)
                & (table["one"] == "minimax regret") & (table["other"] == "satisficing")]
    tau = float(own["tau"].iloc[0]) if len(own) else float("nan")
    if pd.isna(tau):
        return "Regret or satisficing does not tell the policies apart."
    words = next(words for least, words in _ALIKE if tau >= least)
    return f"The rankings by minimax regret and by satisficing {words} (Kendall's tau {tau:.2f})."


def _boxes(found: Findings) -> list[str]:
    """Tell in words what drives failure."""
    robust, lines = found.robust, []
    titles = found.policies.set_index("policy")["title"]
    for failure, case in robust.plan.boxes.failures.items():
        for policy in robust.plan.boxes.policies:
            fails = robust.fails(failure, policy)
            own = robust.boxes[(robust.boxes["failure"] == failure)
                               & (robust.boxes["policy"] == policy)
                               & (robust.boxes["method"] == "PRIM")]
            told = (f"- {titles[policy]}, {case.told()}: {_share(fails.mean())} of the futures.")
            if len(own):
                first = own.iloc[0]
                told += (f" {_share(first['coverage'])} of them lie where "
                         f"{_and(_side(row, found) for _, row in own.iterrows())}; there "
                         f"{_share(first['density'])} fail.")
            lines.append(told)
    return ["What drives failure (boxes of PRIM, where there are enough failures for one):",
            "\n".join(lines)]


def _side(row: pd.Series, found: Findings) -> str:
    scaled = row["factor"] in found.scaled

    def edge(value: float) -> str:
        return f"{value:.0%} of its path" if scaled else f"{value:.3g}"

    if pd.isna(row["low"]):
        return f"{row['factor']} is below {edge(row['high'])}"
    if pd.isna(row["high"]):
        return f"{row['factor']} is above {edge(row['low'])}"
    return f"{row['factor']} is between {edge(row['low'])} and {edge(row['high'])}"


def _strongest(found: Findings) -> str:
    table = found.sensitivity.weighted
    own = table[table["output"] == "index"].nlargest(_TOLD, "ST")
    return ", ".join(f"{row['factor']} ({row['ST']:.0%} of the variance)"
                     for _, row in own.iterrows())


def _sensitivity(found: Findings) -> list[str]:
    result = found.sensitivity
    kinds = result.factors.set_index("factor")["kind"]
    lines = []
    for output, own in result.weighted.groupby("output", sort=False):
        strongest = own.nlargest(_FACTORS, "ST")
        lines.append(f"- {output} ({unit_label(result.units[str(output)])}): " + ", ".join(
            f"{row['factor']} {row['ST']:.2f} ± {row['ST_conf']:.2f}"
            for _, row in strongest.iterrows()))
    strong = [name for name in dict.fromkeys(
        result.weighted.sort_values("ST", ascending=False)["factor"])
        if result.weighted.loc[result.weighted["factor"] == name, "ST"].max() >= _STRONG]
    named = {kind: [name for name in strong if kinds[name] == kind]
             for kind in ("driver", "parameter", "lever")}
    groups = [f"{_count(len(some), kind)} ({', '.join(some)})"
              for kind, some in named.items() if some]
    calm = ("The intervals are as narrow as the plan asks." if result.converged else
            "The intervals are wider than the plan asks: read the order, not the digits.")
    return [
        "## 5. What do the results hang on?",
        f"{len(result.factors)} factors vary; a screening keeps "
        f"{result.screening.loc[result.screening['kept'], 'factor'].nunique()} of them. "
        f"{len(strong)} make a tenth of the variance or more of some output: "
        f"{_and(groups)}.",
        "Total effects, means over the years weighted by variance, with intervals of 95 %. What a "
        "lever makes hangs on the range that the plan gives it:",
        "\n".join(lines),
        calm,
        _figure(figures.SENSITIVITY, "Shares of the variance"),
    ]


def _limits(found: Findings) -> list[str]:
    fit = found.comparison.fit
    judged = fit[fit["passed"].notna()]
    outside = judged.loc[~judged["passed"].astype(bool), "label"]
    failed = found.robust.notes
    lines = [
        *LEFT_OUT,
        f"The data that judge the model end with {int(fit['last'].max())}. What it says of later "
        "years follows from the drivers and has not been held against outcomes.",
        f"Of the history, {_of(len(judged) - len(outside), len(judged), 'judged series')} within "
        "their bars" + (f"; outside: {_and(outside)}." if len(outside) else "."),
        "Ranges of drivers after 2024 and sizes of policies are assumptions where the plans say "
        "so. A share of futures is a share of the sample, not a probability.",
        *(note for note in failed if "did not stay finite" in note),
    ]
    misses = [(row["test"], row["part"], row["reason"]) for _, row in found.misses.iterrows()]
    return [
        "## 6. What the model cannot say",
        "\n".join(f"- {line}" for line in lines),
        "The two hold-outs:",
        "\n".join(f"- {name}: {text}" for name, text in CLAIMS.items()),
        *(["Tests that the model is known to miss:",
           _table(("test", "part", "reason"), misses)] if misses else
          ["No test is listed as known to be missed."]),
    ]


def _table(head: Row, rows: Iterable[Row]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |"
                     for line in lines)


def _figure(name: str, caption: str) -> str:
    return f"![{caption}]({name})"


def _and(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _of(number: int, whole: int, noun: str) -> str:
    """Return ``5 of 6 bars are``."""
    plural = noun if noun.endswith("s") else f"{noun}s"
    return f"{number} of {whole} {plural} {'is' if number == 1 else 'are'}"


def _verdict(verdict: str) -> str:
    return f"**{verdict}**" if verdict == "holds" else verdict


def _unit(unit: str) -> str:
    return "%" if unit == "percent" else unit


def _share(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.0%}"


def _signed(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:+.1f}"


def _number(value: float, digits: int) -> str:
    return "-" if pd.isna(value) else f"{value:z.{digits}f}"
