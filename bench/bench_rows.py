"""Results as rows, one for each measure, and what is to be said of their marks.

A ratio counts only where the server is not slower for it: batching by waiting is no speed.  A mark
that is met with less than 0.8 times the rate, or with more than twice the p99, is void.  A mark that
allows more than 1 / 0.8 times the CPU time allows as much less of the rate, too: the server has but
one processor.
"""

import csv
import statistics

from bench_turns import MEASURES

LEAST_RATE = 0.8
MOST_P99 = 2.0

FIELDS = ("cell", "group", "title", "against", "against_title", "measure", "unit", "median",
          "least", "most", "mark", "goal", "verdict", "own", "reference", "rounds", "note")
NUMBERS = ("median", "least", "most", "mark", "goal", "own", "reference")


def make_row(**fields):
    return {**dict.fromkeys(FIELDS, ""), **fields}


def is_good(measure, value, mark):
    return value >= mark if measure == "rate" else value <= mark


def void_because(measure, ratios, mark):
    least_rate = min(LEAST_RATE, 1 / mark) if measure == "cpu" else LEAST_RATE
    rate, p99 = statistics.median(ratios["rate"]), statistics.median(ratios["p99"])
    if rate < least_rate:
        return f"void: rate {rate:.2f}x"
    return f"void: p99 {p99:.1f}x" if p99 > MOST_P99 else ""


def judge(measure, ratios, mark):
    if not is_good(measure, statistics.median(ratios[measure]), mark):
        return "MISSED"
    return void_because(measure, ratios, mark) or "met"


def rows_of_outcome(outcome):
    cell, marks = outcome.cell, outcome.against.marks
    names = {"cell": cell.name, "group": cell.group, "title": cell.title,
             "against": outcome.name, "against_title": outcome.title}
    if not outcome.ratios:
        said = (f"skipped: {outcome.skipped}" if outcome.skipped else
                f"FAILED: {outcome.failed or 'no turn was taken'}")
        measure = next(iter(marks), "cpu")
        return [make_row(**names, measure=measure, unit="ratio", verdict=said)]
    rows = []
    for measure in MEASURES:
        values = outcome.ratios[measure]
        mark, goal = marks.get(measure, ("", ""))
        rows.append(make_row(
            **names, measure=measure, unit="ratio", median=statistics.median(values),
            least=min(values), most=max(values), mark=mark, goal=goal or "",
            verdict=judge(measure, outcome.ratios, mark) if mark else "",
            own=statistics.median(outcome.subject[measure]),
            reference=statistics.median(outcome.reference[measure]), rounds=len(values),
            note=outcome.note()))
    if outcome.failed:
        rows[0]["verdict"] = f"FAILED: {outcome.failed}"
    return rows


def keep_best(outcomes, rows):
    """Of those that do the same in different ways, only the better reference has its mark."""
    for best in {each.against.best for each in outcomes if each.against.best}:
        same = {each.name for each in outcomes if each.against.best == best}
        for measure in MEASURES:
            with_mark = [row for row in rows if row["against"] in same and
                         row["measure"] == measure and row["mark"] and row["median"] != ""]
            if len(with_mark) < 2:
                continue
            worst = (min if measure == "rate" else max)(with_mark, key=lambda row: row["median"])
            for row in with_mark:
                if row is not worst:
                    row.update(mark="", goal="", verdict="", note=join(
                        row["note"], f"{worst['against_title']} is better"))


def join(*notes):
    return ", ".join(filter(None, notes))


def rows_of_cell(outcomes):
    rows = [row for outcome in outcomes for row in rows_of_outcome(outcome)]
    keep_best(outcomes, rows)
    return rows


MEASURED_IN = {"KiB": "memory", "ms": "time"}


def row_of_values(name, group, title, unit, values, mark, goal=None):
    """Of a figure that is no ratio."""
    row = make_row(cell=name, group=group, title=title, measure=MEASURED_IN[unit], unit=unit,
                   mark=mark or "", goal=goal or "", rounds=len(values))
    if not values:
        row["verdict"] = "FAILED: not measured"
        return row
    middle = statistics.median(values)
    row.update(median=middle, least=min(values), most=max(values), own=middle)
    if mark:
        row["verdict"] = "met" if middle <= mark else "MISSED"
    return row


def row_of_trouble(name, group, title, unit, said):
    return make_row(cell=name, group=group, title=title, measure=MEASURED_IN[unit], unit=unit,
                    verdict=said)


def is_missed(row):
    return row["verdict"].startswith(("MISSED", "void", "FAILED"))


def write_rows(path, rows):
    with open(path, "w", newline="") as out:
        writer = csv.DictWriter(out, FIELDS)
        writer.writeheader()
        for row in rows:
            writer.writerow({name: f"{value:.4f}" if isinstance(value, float) else value
                             for name, value in row.items()})


def read_rows(path):
    with open(path, newline="") as text:
        return [{name: float(value) if name in NUMBERS and value else value
                 for name, value in row.items()} for row in csv.DictReader(text)]


def write_turns(path, turns):
    keys = list(dict.fromkeys(key for turn in turns for key in turn))
    with open(path, "w", newline="") as out:
        writer = csv.DictWriter(out, keys)
        writer.writeheader()
        writer.writerows(turns)
