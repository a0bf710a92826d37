"""Charts as SVG: a row for each load or group, a mark for each allocator, its
ratio to the best peer from left (better) to right on a logarithmic axis.

The files need nothing from outside and follow the reader's light or dark
colours. Allocators differ in shape as well as in colour, and the figure of ptm
is printed at the end of its row.
"""
import math
from xml.sax.saxutils import escape

from driver import allocators as who
from driver.report import SPACE, TIME, Report, ratio_text

# shape, colour on light, colour on dark
MARKS = {
    "ptm": ("disc", "#1f6fd0", "#4c9bf5"),
    "glibc": ("square", "#c2410c", "#f08a4b"),
    "glibc-again": ("hollow square", "#c2410c", "#f08a4b"),
    "jemalloc": ("triangle", "#0f8a5f", "#35c08d"),
    "mimalloc": ("diamond", "#a16207", "#e0b03a"),
    "tcmalloc": ("nabla", "#6d3fc4", "#a98bf0"),
    "tbbmalloc": ("plus", "#be2f78", "#f07fb4"),
    "floor": ("bar", "#6b7280", "#9ca3af"),
}
SPARE = ("cross", "#374151", "#d1d5db")

LABELS, PLOT, FIGURES, MARGIN = 190, 560, 56, 16  # widths
ROW, HEAD = 19, 96                                # heights
TICKS = (0.125, 0.25, 0.35, 0.5, 0.7, 1, 1.4, 2, 3, 4, 6, 8, 12)
BEYOND = 12.0   # ratios above are drawn at the edge, with their figure
NARROWEST = (0.7, 1.4)

PAINT = """
text { font: 12px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
.title { font-size: 16px; font-weight: 600; }
.small { font-size: 11px; }
.end { text-anchor: end; }
.middle { text-anchor: middle; }
.strong { font-weight: 600; }
.hollow { fill-opacity: 0; }
"""
LIGHT = {"back": "#ffffff", "text": "#1f2328", "soft": "#59636e",
         "line": "#d8dee4", "band": "#f6f8fa"}
DARK = {"back": "#0d1117", "text": "#e6edf3", "soft": "#9198a1",
        "line": "#30363d", "band": "#151b23"}


def colour_rules(ground, column):
    rules = [f".back {{ fill: {ground['back']}; }}",
             f".band {{ fill: {ground['band']}; }}",
             f"text {{ fill: {ground['text']}; }}",
             f".soft {{ fill: {ground['soft']}; }}",
             f".line {{ stroke: {ground['line']}; }}",
             f".one {{ stroke: {ground['text']}; }}",
             f".ring {{ stroke: {ground['back']}; }}"]
    for number, mark in enumerate([*MARKS.values(), SPARE]):
        rules.append(f".m{number} {{ fill: {mark[column]}; "
                     f"stroke: {mark[column]}; }}")
    return "\n".join(rules)


def style():
    return ("<style>" + PAINT + colour_rules(LIGHT, 1)
            + "\n@media (prefers-color-scheme: dark) {\n"
            + colour_rules(DARK, 2) + "\n}\n</style>")


def mark(name, x, y):
    """One allocator's sign around a point."""
    number = list(MARKS).index(name) if name in MARKS else len(MARKS)
    shape = (MARKS.get(name) or SPARE)[0]
    paths = {"triangle": "M0 -5L5 4L-5 4Z", "nabla": "M0 5L5 -4L-5 -4Z",
             "diamond": "M0 -5.5L5.5 0L0 5.5L-5.5 0Z",
             "square": "M-4 -4H4V4H-4Z", "hollow square": "M-4 -4H4V4H-4Z",
             "plus": "M-1.5 -5H1.5V-1.5H5V1.5H1.5V5H-1.5V1.5H-5V-1.5H-1.5Z",
             "bar": "M-1.2 -7H1.2V7H-1.2Z",
             "cross": "M-4 -5L0 -1L4 -5L5 -4L1 0L5 4L4 5L0 1L-4 5L-5 4L-1 0"
                      "L-5 -4Z"}
    place = f'transform="translate({x:.1f} {y:.1f})"'
    if shape == "disc":
        return (f'<circle class="m{number}" r="7" {place}/>'
                f'<circle class="ring" r="7" fill="none" {place}/>')
    hollow = " hollow" if shape.startswith("hollow") else ""
    return (f'<path class="m{number}{hollow}" stroke-width="1" '
            f'd="{paths[shape]}" {place}/>')


class Axis:
    """Ratios to x; logarithmic, as wide as the figures need."""

    def __init__(self, ratios):
        low = min([NARROWEST[0], *ratios])
        high = min(max([NARROWEST[1], *ratios]), BEYOND)
        self.low = math.log(max(low, TICKS[0]) * 0.95)
        self.high = math.log(high * 1.05)

    def x(self, ratio):
        share = (math.log(ratio) - self.low) / (self.high - self.low)
        return LABELS + PLOT * min(max(share, 0), 1)

    def ticks(self):
        return [tick for tick in TICKS
                if self.low <= math.log(tick) <= self.high]

    def ends_before(self, ratio):
        return math.log(ratio) > self.high


def legend(names):
    parts, x = [], MARGIN + 8
    for name in names:
        parts.append(mark(name, x, 52))
        parts.append(f'<text x="{x + 12}" y="56">{escape(name)}</text>')
        x += 34 + 7 * len(name)
    return parts


def axis_lines(axis, bottom):
    parts = []
    for tick in axis.ticks():
        x = axis.x(tick)
        kind = "one" if tick == 1 else "line"
        parts.append(f'<line class="{kind}" x1="{x:.1f}" y1="{HEAD - 8}" '
                     f'x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(f'<text class="soft small middle" x="{x:.1f}" '
                     f'y="{HEAD - 14}">{tick:g}</text>')
    return parts


def row(axis, names, label, ratios, place):
    y = HEAD + place * ROW + ROW / 2
    strong = " strong" if label.startswith("all ") else ""
    parts = []
    if place % 2 == 0:
        parts.append(f'<rect class="band" x="0" y="{y - ROW / 2}" '
                     f'width="100%" height="{ROW}"/>')
    parts.append(f'<text class="end{strong}" x="{LABELS - 14}" '
                 f'y="{y + 4}">{escape(label)}</text>')
    return parts, [mark(name, axis.x(ratios[name]), y)
                   for name in reversed(names) if name in ratios], y


def far_figure(axis, ratios, y):
    """Beyond the edge the mark alone would lie."""
    far = max(ratios.values())
    if not axis.ends_before(far):
        return []
    return [f'<text class="soft small end" x="{LABELS + PLOT - 9}" '
            f'y="{y + 4}">{ratio_text(far)}</text>']


def chart(title, subtitle, names, rows):
    """`rows`: pairs of a label and {allocator: ratio}."""
    axis = Axis([ratio for _, ratios in rows for ratio in ratios.values()])
    height = HEAD + ROW * len(rows) + 20
    width = LABELS + PLOT + FIGURES + MARGIN
    bands, marks, figures = [], [], []
    for place, (label, ratios) in enumerate(rows):
        band, signs, y = row(axis, names, label, ratios, place)
        bands += band
        marks += signs + far_figure(axis, ratios, y)
        if names[0] in ratios:
            figures.append(f'<text class="end strong" x="{width - MARGIN}" '
                           f'y="{y + 4}">{ratio_text(ratios[names[0]])}</text>')
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
             f'height="{height}" viewBox="0 0 {width} {height}" role="img" '
             f'aria-label="{escape(title)}">', style(),
             '<rect class="back" width="100%" height="100%"/>', *bands,
             f'<text class="title" x="{MARGIN}" y="26">{escape(title)}'
             f'<tspan class="soft small" dx="10" font-weight="400">'
             f'{escape(subtitle)}</tspan></text>',
             *legend(names), *axis_lines(axis, HEAD + ROW * len(rows)),
             f'<text class="soft small end" x="{width - MARGIN}" '
             f'y="{HEAD - 14}">{escape(names[0])}</text>',
             *marks, *figures, "</svg>"]
    return "\n".join(parts) + "\n"


def load_rows(report, kind):
    rows = [(load, {name: report.ratio(load, name, kind)
                    for name in report.names}) for load in report.loads]
    return present(rows)


def group_rows(report, kind):
    rows = [("all loads", {name: report.mean(name, kind)
                           for name in report.names})]
    rows += [(group, {name: report.group_mean(group, name, kind)
                      for name in report.names}) for group in report.groups()]
    return present(rows)


def present(rows):
    rows = [(label, {name: ratio for name, ratio in ratios.items() if ratio})
            for label, ratios in rows]
    return [(label, ratios) for label, ratios in rows if ratios]


WORDS = {TIME: "Time", SPACE: "Peak memory"}
BETTER = "ratio to the best peer of each load; left is better"


def charts(document):
    """{suffix of the file: its text}; ptm, if there, is drawn on top."""
    report = Report(document)
    ours = report.with_role(who.OURS)
    names = ours + [name for name in report.names if name not in ours]
    made = {}
    for kind, word in WORDS.items():
        rows = group_rows(report, kind)
        if rows:
            made[f"{kind}-groups"] = chart(
                f"{word} by group", BETTER + ", geometric mean", names, rows)
            made[kind] = chart(f"{word} by load", BETTER, names,
                               load_rows(report, kind))
    return made
