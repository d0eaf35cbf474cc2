"""The chart: a dot and its range for each row, with its mark, in SVG."""

import math
from xml.sax.saxutils import escape

WIDTH = 960
TITLE_X, AGAINST_X = 26, 296
PLOT_LEFT, PLOT_RIGHT, VALUE_X = 450, 800, 812
ROW, GROUP, TITLE, AXIS, GAP = 19, 26, 36, 22, 14
MOST_RATIO = 1.5
COLOURS = {"met": "#1a7f5a", "missed": "#c2410c", "void": "#b7791f", "none": "#64748b"}
KEY = [("met", "mark met"), ("missed", "mark missed"), ("void", "void: slower for it"),
       ("none", "for orientation, no mark")]


class Panel:
    """A part of the chart with an axis of its own."""

    def __init__(self, title, axis, rows, most, step, line=None):
        self.title, self.axis, self.rows = title, axis, rows
        self.most, self.step, self.line = most, step, line

    def x(self, value):
        share = min(value, self.most) / self.most
        return PLOT_LEFT + share * (PLOT_RIGHT - PLOT_LEFT)


def text(x, y, said, anchor="start", size=12, colour="#1f2937", weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
            f'fill="{colour}" font-weight="{weight}" stroke="#ffffff" stroke-width="3" '
            f'paint-order="stroke">{escape(said)}</text>')


def line(x1, y1, x2, y2, colour, width=1.0, more=""):
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
            f'stroke-width="{width}" {more}/>')


def kind_of(row):
    verdict = row["verdict"]
    if row["mark"] == "":
        return "none"
    if verdict.startswith("void"):
        return "void"
    return "met" if verdict == "met" else "missed"


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def dot(x, y, kind):
    fill = "#ffffff" if kind == "void" else COLOURS[kind]
    return (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{fill}" stroke="{COLOURS[kind]}" '
            f'stroke-width="1.6"/>')


def arrow(y, colour):
    """At the edge, for what is beyond it."""
    x = PLOT_RIGHT
    return f'<path d="M{x - 8} {y - 5} L{x + 1} {y} L{x - 8} {y + 5} Z" fill="{colour}"/>'


def draw_mark(panel, row, y):
    x = panel.x(row["mark"])
    found = [line(x, y - 7, x, y + 7, "#111827", 2.2)]
    if row["goal"] != "":
        found.append(line(panel.x(row["goal"]), y - 7, panel.x(row["goal"]), y + 7, "#111827",
                          1.2, 'stroke-dasharray="2 2"'))
    return found


def draw_row(panel, row, y, with_title):
    """One row whose middle is at Y."""
    found = [text(AGAINST_X, y + 4, row["against_title"], colour="#475569")]
    if with_title:
        found.append(text(TITLE_X, y + 4, row["title"]))
    if row["median"] == "":
        said = row["verdict"].partition(":")[0] if row["verdict"].startswith("FAILED") else \
            row["verdict"]
        return found + [text(PLOT_LEFT + 6, y + 4, said.replace("FAILED", "not measured"), size=11,
                             colour="#64748b")]
    kind = kind_of(row)
    found.append(line(panel.x(row["least"]), y, panel.x(row["most"]), y, COLOURS[kind], 2.4,
                      'stroke-linecap="round" opacity="0.55"'))
    if row["mark"] != "":
        found += draw_mark(panel, row, y)
    if row["median"] > panel.most:
        found.append(arrow(y, COLOURS[kind]))
    else:
        found.append(dot(panel.x(row["median"]), y, kind))
    found.append(text(VALUE_X, y + 4, number(row["median"]), weight="bold",
                      colour=COLOURS[kind]))
    found.append(text(VALUE_X + 40, y + 4, f"{number(row['least'])}–{number(row['most'])}",
                      size=11, colour="#475569"))
    return found


def draw_grid(panel, top, bottom):
    found = []
    for index in range(int(round(panel.most / panel.step)) + 1):
        value = index * panel.step
        found.append(line(panel.x(value), top, panel.x(value), bottom, "#e2e8f0"))
        found.append(text(panel.x(value), bottom + 14, f"{value:g}", "middle", 11, "#475569"))
    found.append(text(PLOT_RIGHT + 20, bottom + 14, panel.axis, size=11, colour="#475569"))
    if panel.line is not None:
        found.append(line(panel.x(panel.line), top, panel.x(panel.line), bottom, "#334155", 1.4))
    return found


def draw_panel(panel, top):
    """The panel and where it ends."""
    y, group, cell, found = top + TITLE, None, None, []
    for row in panel.rows:
        if row["group"] != group and row["unit"] == "ratio":
            group = row["group"]
            found.append(text(12, y + 17, group, weight="bold", size=13))
            y += GROUP
        found += draw_row(panel, row, y + ROW / 2, row["cell"] != cell)
        cell = row["cell"]
        y += ROW
    head = [text(12, top + 20, panel.title, size=14, weight="bold", colour="#0f172a")]
    return head + draw_grid(panel, top + TITLE - 4, y + 4) + found, y + AXIS + GAP


def draw_key(y):
    found, x = [], 12
    for kind, said in KEY:
        found += [dot(x + 5, y - 4, kind), text(x + 15, y, said, size=11)]
        x += 30 + 6.2 * len(said)
    found += [line(x + 2, y - 11, x + 2, y + 2, "#111827", 2.2),
              text(x + 9, y, "the mark", size=11),
              line(x + 72, y - 11, x + 72, y + 2, "#111827", 1.2, 'stroke-dasharray="2 2"'),
              text(x + 79, y, "the goal", size=11),
              line(x + 140, y - 4, x + 162, y - 4, COLOURS["none"], 2.4, 'opacity="0.55"'),
              text(x + 168, y, "least to most of the rounds", size=11)]
    return found


def chosen(rows):
    """One row for each pair: the one with a mark, or else that of the CPU time."""
    pairs = {}
    for row in rows:
        key = row["cell"], row["against"], row["against_title"]
        if row["mark"] != "" or key not in pairs:
            pairs[key] = row
    # where the mark is against another reference, the same is shown as there
    shown = {row["cell"]: row["measure"] for row in pairs.values() if row["mark"] != ""}
    for row in rows:
        key = row["cell"], row["against"], row["against_title"]
        if pairs[key]["mark"] == "" and row["measure"] == shown.get(row["cell"]):
            pairs[key] = row
    return list(pairs.values())


def round_up(value):
    """The end of an axis that holds VALUE, and its steps."""
    step = 10 ** math.floor(math.log10(max(value, 1e-9)))
    step = next(step * part for part in (0.2, 0.5, 1, 2) if value <= 8 * step * part)
    return math.ceil(value / step) * step, step


def panels(rows):
    ratios = [row for row in chosen(rows) if row["unit"] == "ratio"]
    costs = [row for row in ratios if row["measure"] != "rate"]
    rates = [row for row in ratios if row["measure"] == "rate"]
    memory = [dict(row, against_title="") for row in rows
              if row["unit"] == "KiB" and row["cell"].startswith("memory-")]
    found = []
    if costs:
        found.append(Panel("CPU time per request, against the reference: less is better",
                           "× the reference", costs, MOST_RATIO, 0.25, 1))
    for title, axis, some, at in (
            ("Rate, against the reference: more is better", "× the reference", rates, 1),
            ("Memory of an idle connection, user side: less is better", "KiB", memory, None)):
        values = [row[key] for row in some for key in ("most", "mark") if row[key] != ""]
        if some:
            found.append(Panel(title, axis, some, *round_up(max(values, default=1) * 1.05), at))
    return found


def draw(rows):
    y, found = 44, draw_key(24)
    for panel in panels(rows):
        drawn, y = draw_panel(panel, y)
        found += drawn
    return "\n".join(
        [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y:.0f}" width="{WIDTH}" '
         f'height="{y:.0f}" font-family="DejaVu Sans, Verdana, sans-serif">',
         "<title>handlerd against references: ratios with their spread</title>",
         f'<rect width="{WIDTH}" height="{y:.0f}" fill="#ffffff"/>', *found, "</svg>", ""])
