"""The table, on the terminal and in Markdown."""

from bench_turns import MEASURES

UNITS = {"cpu": "CPU", "rate": "rate", "p50": "p50", "p99": "p99", "p99.9": "p99.9"}
HEAD = "Ratios to the reference, of CPU time per request, rate and latency: median (least–most)."


def spread(row, digits=2):
    """Median and range of a row; with fewer digits where the numbers are large."""
    if row["median"] == "":
        return ""
    digits = max(0, digits - (row["most"] >= 100) - (row["most"] >= 10))
    return "{:.{d}f} ({:.{d}f}–{:.{d}f})".format(row["median"], row["least"], row["most"],
                                                 d=digits)


def number(value):
    return f"{value:g}"


def mark_text(row, name=""):
    """'cpu <= 1.1 (goal 1): met', or only what there is."""
    if row["mark"] == "":
        return row["verdict"]
    sign = ">=" if row["measure"] == "rate" else "<="
    unit = "" if row["unit"] == "ratio" else " " + row["unit"]
    goal = f" (goal {number(row['goal'])})" if row["goal"] != "" else ""
    return f"{name} {sign} {number(row['mark'])}{unit}{goal}: {row['verdict']}".strip()


def said_of(rows):
    """What a line of the table ends with: marks, and what is to be noted."""
    said = [mark_text(row, row["measure"]) for row in rows if row["mark"] or row["verdict"]]
    return "  ".join(said + ([rows[0]["note"]] if rows[0]["note"] else []))


def by_pair(rows):
    """The rows of each reference of each cell."""
    found = {}
    for row in rows:
        found.setdefault((row["cell"], row["against"], row["against_title"]), []).append(row)
    return list(found.values())


def print_head():
    print(HEAD)
    print(f"{'measured':<26}{'against':<24}" + "".join(f"{m:<19}" for m in MEASURES) + "marks")


def print_rows(rows):
    for pair in by_pair(rows):
        first = pair[0]
        if first["unit"] == "ratio":
            values = {row["measure"]: spread(row) for row in pair}
            columns = "".join(f"{values.get(m, ''):<19}" for m in MEASURES)
            if first["median"] == "":
                columns = ""
            print(f"{first['cell']:<26}{first['against_title']:<24}{columns}{said_of(pair)}",
                  flush=True)
        else:
            text = f"{spread(first)} {first['unit']}" if first["median"] != "" else ""
            print(f"{first['cell']:<26}{first['title']:<36}{text:<26} {mark_text(first)}".rstrip(),
                  flush=True)


def print_flood(name, result):
    missing = result["sent"] - result["served"] - result["dropped"]
    print(f"{name:<26}{result['sent']} sent in {result['seconds']:.2f} s "
          f"({result['rate']:.0f}/s), {result['served']} served, {result['dropped']} dropped by "
          f"the kernel" + (f", {missing} not accounted for" if missing else ""), flush=True)


def markdown(rows):
    """Tables for a document: the ratios, then the figures that are none."""
    ratios = [row for row in rows if row["unit"] == "ratio"]
    others = [row for row in rows if row["unit"] != "ratio"]
    lines = []
    if ratios:
        lines += ["| Measured | Against | " + " | ".join(UNITS[m] for m in MEASURES) + " | Mark |",
                  "|---|---|" + "---|" * (len(MEASURES) + 1)]
    for pair in by_pair(ratios):
        first = pair[0]
        values = {row["measure"]: spread(row) for row in pair}
        lines.append(f"| {first['group']}: {first['title']} | {first['against_title']} | " +
                     " | ".join(values.get(m, "") for m in MEASURES) +
                     f" | {said_of(pair).replace('|', '/')} |")
    if others:
        lines += [""] * bool(lines) + ["| Measured | Median (least–most) | Mark |", "|---|---|---|"]
        lines += [f"| {row['group']}: {row['title']} | {spread(row)} {row['unit']} | "
                  f"{mark_text(row)} |" for row in others]
    return "\n".join(line.replace("<=", "≤").replace(">=", "≥") for line in lines) + "\n"
