"""From samples to ratios, and from ratios to tables.

A figure is always "less is better":

  time    cpu: the least CPU seconds of all rounds (noise only adds)
          throughput: seconds an operation, from the median of the rounds
          in typical time, the median CPU seconds instead
  memory  the median of the peak RSS

A ratio is a figure divided by the least figure of a *peer* in that load: 1.00
is as good as the best one can have instead, below is better.
"""
import math
import statistics

from driver import allocators as who
from driver.loads import CPU, THROUGHPUT

TIME, TYPICAL, SPACE = "time", "typical time", "memory"
# What the project wants to be true of every load.
MOST = {TIME: 1.10, SPACE: 1.25}


def figure(result, name, kind):
    """A number, or None where there is none."""
    samples = result["samples"].get(name)
    if not samples or name in result["failures"]:
        return None
    if kind == SPACE:
        return statistics.median(sample["rss_kib"] for sample in samples)
    if result["measure"] == CPU:
        least_or_median = statistics.median if kind == TYPICAL else min
        return least_or_median(sample["cpu_seconds"] for sample in samples)
    if result["measure"] == THROUGHPUT:
        return 1 / statistics.median(
            sample["operations_per_second"] for sample in samples)
    return None


def geometric_mean(ratios):
    if not ratios:
        return None
    return math.exp(statistics.fmean(math.log(ratio) for ratio in ratios))


class Report:
    """A result file, read."""

    def __init__(self, document):
        self.document = document
        self.loads = document["loads"]
        self.names = list(document["allocators"])

    def with_role(self, role):
        return [name for name in self.names
                if self.document["allocators"][name]["role"] == role]

    def best_peer(self, load, kind):
        """(figure, name) or None."""
        found = [(figure(self.loads[load], name, kind), name)
                 for name in self.with_role(who.PEER)]
        found = [pair for pair in found if pair[0]]
        return min(found) if found else None

    def ratio(self, load, name, kind):
        best = self.best_peer(load, kind)
        own = figure(self.loads[load], name, kind)
        return own / best[0] if best and own else None

    def ratios(self, name, kind):
        """Of all loads that have one: {load: ratio}."""
        found = {load: self.ratio(load, name, kind) for load in self.loads}
        return {load: ratio for load, ratio in found.items()
                if ratio is not None}

    def groups(self):
        return list(dict.fromkeys(load.split("/")[0] for load in self.loads))

    def group_mean(self, group, name, kind):
        return geometric_mean([
            ratio for load, ratio in self.ratios(name, kind).items()
            if load.split("/")[0] == group])

    def mean(self, name, kind):
        return geometric_mean(list(self.ratios(name, kind).values()))

    def mean_of_groups(self, name, kind):
        means = [self.group_mean(group, name, kind)
                 for group in self.groups()]
        return geometric_mean([mean for mean in means if mean])

    def worst(self, name, kind):
        ratios = self.ratios(name, kind)
        return max(ratios, key=ratios.get) if ratios else None

    def against(self, name, other, kind):
        """{load: name's figure over other's}."""
        found = {}
        for load, result in self.loads.items():
            ours, theirs = (figure(result, who_is, kind)
                            for who_is in (name, other))
            if ours and theirs:
                found[load] = ours / theirs
        return found


def figures(document):
    """All of them, for the result file: readers need not know the rules."""
    report = Report(document)
    return {load: {name: {kind: figure(result, name, kind)
                          for kind in (TIME, TYPICAL, SPACE)}
                   for name in report.names}
            for load, result in report.loads.items()}


# --------------------------------------------------------------------------
# Tables, in Markdown that is aligned for the terminal too.

def table(header, rows):
    rows = [header] + rows
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]

    def line(row):
        cells = [cell.ljust(width) if i < 2 else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(row, widths))]
        return "| " + " | ".join(cells) + " |"

    rule = ["-" * widths[i] if i < 2 else "-" * (widths[i] - 1) + ":"
            for i in range(len(widths))]
    return "\n".join([line(rows[0]), "| " + " | ".join(rule) + " |"]
                     + [line(row) for row in rows[1:]])


def ratio_text(ratio):
    if ratio is None:
        return "-"
    return f"{ratio:.2f}" if ratio < 9.995 else f"{ratio:.1f}"


def size_text(kib):
    return f"{kib:.0f} KiB" if kib < 10000 else f"{kib / 1024:.0f} MiB"


def time_text(result, seconds, name):
    """Of a workload what one operation costs, of a program the whole."""
    if result["measure"] == THROUGHPUT:
        rate = 1 / seconds
        if rate > 1e6:
            return f"{rate / 1e6:.1f} M/s"
        return f"{rate / 1e3:.0f} k/s"
    operations = result["samples"][name][0].get("operations")
    if not operations:
        return f"{seconds:.2f} s"
    each = seconds / operations * 1e9
    return f"{each:.1f} ns" if each < 1000 else f"{each / 1000:.1f} us"


def ratio_table(report, kind):
    rows = []
    for load, result in report.loads.items():
        best = report.best_peer(load, kind)
        if best is None:
            continue
        value = (size_text(best[0]) if kind == SPACE
                 else time_text(result, *best))
        cells = ["failed" if name in result["failures"]
                 else ratio_text(report.ratio(load, name, kind))
                 for name in report.names]
        rows.append([load, f"{best[1]} {value}"] + cells)
    return table(["load", "best peer"] + report.names, rows)


def mean_table(report):
    rows = []
    for kind in (TIME, TYPICAL, SPACE):
        for what, mean in (("all loads", report.mean),
                           ("each group once", report.mean_of_groups)):
            rows.append([kind, what] + [ratio_text(mean(name, kind))
                                        for name in report.names])
        for group in report.groups() if kind != TYPICAL else []:
            rows.append([kind, group] + [
                ratio_text(report.group_mean(group, name, kind))
                for name in report.names])
    return table(["", "geometric mean"] + report.names, rows)


def worst_table(report):
    rows = []
    for name in report.names:
        row = [name]
        for kind in (TIME, SPACE):
            load = report.worst(name, kind)
            row += [load or "-", ratio_text(
                report.ratio(load, name, kind) if load else None)]
        rows.append(row)
    return table(["", "worst time", "ratio", "worst memory", "ratio"], rows)


def noise_lines(report):
    lines = []
    if "glibc" not in report.names:
        return lines
    for name in report.with_role(who.CONTROL):
        for kind in (TIME, SPACE):
            ratios = list(report.against(name, "glibc", kind).values())
            if ratios:
                away = [abs(math.log(ratio)) for ratio in ratios]
                lines.append(
                    f"- Noise in {kind}: {name} to glibc, the same library, "
                    f"is {geometric_mean(ratios):.3f} in the mean, "
                    f"{math.expm1(statistics.median(away)):.1%} off in the "
                    f"middle load, {min(ratios):.2f} to {max(ratios):.2f} at "
                    f"the ends.")
    return lines


def listed(ratios):
    ordered = sorted(ratios.items(), key=lambda item: -item[1])
    return ", ".join(f"{load} {ratio_text(ratio)}" for load, ratio in ordered)


def goal_lines(report):
    """Where ptm is beyond what the project allows."""
    lines = []
    for name in report.with_role(who.OURS):
        for kind, most in MOST.items():
            over = {load: ratio for load, ratio in
                    report.ratios(name, kind).items() if ratio > most}
            lines.append(f"- {name} above {most:.2f} in {kind}: "
                         + (f"{len(over)} of {len(report.loads)} loads: "
                            f"{listed(over)}." if over else "none."))
        slower = {load: ratio for load, ratio in
                  report.against(name, "glibc", TIME).items() if ratio > 1}
        lines.append(f"- {name} slower than glibc: "
                     + (f"{len(slower)} of {len(report.loads)} loads, by "
                        f"this ratio to glibc: {listed(slower)}."
                        if slower else "nowhere."))
    return lines


NOTES = {"kib_a_thread": "KiB for each thread",
         "growth_kib": "KiB more resident after the last thread than after "
                       "the hundredth"}


def note_table(report):
    rows = []
    for load, result in report.loads.items():
        for key, text in NOTES.items():
            cells = []
            for name in report.names:
                values = [sample[key] for sample in
                          result["samples"].get(name, []) if key in sample]
                cells.append(f"{statistics.median(values):.0f}"
                             if values else "-")
            if any(cell != "-" for cell in cells):
                rows.append([load, text] + cells)
    return table(["load", "note"] + report.names, rows) if rows else ""


def failure_lines(report):
    return [f"- {load} under {name}: {why}"
            for load, result in report.loads.items()
            for name, why in sorted(result["failures"].items())]


def machine_lines(document):
    facts = ", ".join(f"{key}: {value}"
                      for key, value in document["machine"].items())
    versions = ", ".join(f"{name}: {entry['version']}" for name, entry
                         in document["allocators"].items())
    return [f"- Made by `{document['command']}` on {document['date']}, "
            f"{document['rounds_done']} of {document['rounds']} rounds.",
            f"- Machine: {facts}.", f"- Allocators: {versions}."]


def text(document):
    report = Report(document)
    parts = ["\n".join(machine_lines(document))]

    def section(title, body):
        if body:
            parts.append(f"## {title}\n\n{body}")

    section("Failures", "\n".join(failure_lines(report)))
    section("Means of the ratios to the best peer", mean_table(report))
    section("Worst cases", worst_table(report) + "\n\n"
            + "\n".join(goal_lines(report) + noise_lines(report)))
    section("Time, ratio to the best peer", ratio_table(report, TIME))
    section("Peak RSS, ratio to the best peer", ratio_table(report, SPACE))
    section("Threads", note_table(report))
    return "\n\n".join(parts) + "\n"
