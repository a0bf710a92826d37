"""What the four commands of bench/counts share: the command line, the build,
a run of a program under an allocator, and the files that come out."""
import argparse
import datetime
import json
import pathlib
import platform
import shlex
import subprocess
import sys
import tempfile

COUNTS = pathlib.Path(__file__).resolve().parent
BENCH = COUNTS.parent
ROOT = BENCH.parent
BUILD = ROOT / "build-bench"
sys.path.insert(0, str(BENCH))

from driver import allocators, loads, machine, measure  # noqa: E402

NAME = pathlib.Path(sys.argv[0]).name   # of the command
LIMIT_SECONDS = 1800                    # only against a run that hangs


def parser(description):
    made = argparse.ArgumentParser(prog=f"bench/counts/{NAME}",
                                   description=description)
    made.add_argument("--quick", action="store_true",
                      help="little work: shows that all works")
    made.add_argument("--allocators", metavar="LIST", default="all",
                      help="comma list of names, or NAME=LIBRARY; all is "
                      + ",".join(allocators.DEFAULT))
    made.add_argument("--out", metavar="NAME",
                      help="keep the result as bench/results/NAME.*; without, "
                      f"it is build-bench/results/{NAME}.*")
    return made


def fail(text):
    sys.exit(f"bench/counts/{NAME}: {text}")


def require_x86_64():
    if platform.machine() != "x86_64":
        fail(f"works on x86-64 only, and this is {platform.machine()}")


def quietly(*command):
    """Speaks only if the command fails; then that is the end."""
    done = subprocess.run(command, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        fail(f"failed: {shlex.join(command)}\n{done.stdout}")


def build(words):
    subprocess.run([str(BENCH / "packages")], check=True, stdout=sys.stderr)
    if not (BUILD / "CMakeCache.txt").exists():
        quietly("cmake", "-G", "Ninja", "-S", str(BENCH), "-B", str(BUILD))
    quietly("cmake", "--build", str(BUILD))
    if "ptm" in words and not (ROOT / "build/libptm.so").exists():
        fail("build/libptm.so is missing: build ptm first")


def prepare(options):
    """Everything built; the allocators that were asked for."""
    words = []
    for word in options.allocators.split(","):
        words += allocators.DEFAULT if word == "all" else [word]
    build(words)
    try:
        return [allocators.find(word, ROOT, BUILD) for word in words]
    except allocators.Missing as missing:
        fail(missing)


class Failed(Exception):
    """Why a run gave no figures, in words."""


def run(allocator, program, *arguments, tracer=None):
    """What build-bench/counts/PROGRAM prints under an allocator, which a
    tracer preloads itself."""
    with tempfile.TemporaryDirectory(prefix="ptm-bench-") as folder:
        load = loads.Load(program, "", [], pathlib.Path(folder))
        environment = measure.environment_for(load, allocator)
        command = [str(BUILD / "counts" / program), *map(str, arguments)]
        if tracer:
            del environment["LD_PRELOAD"]
            command = [str(BUILD / "counts" / tracer), allocator.library,
                       *command]
        try:
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True,
                text=True, check=False, timeout=LIMIT_SECONDS,
                stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired as error:
            raise Failed("ran too long") from error
    if done.returncode != 0:
        said = (done.stderr.splitlines() or ["said nothing"])[-1]
        said = said.replace(f"{BUILD}/counts/", "")
        how = (f"signal {-done.returncode}" if done.returncode < 0 else
               f"status {done.returncode}")
        raise Failed(f"ended with {how}: {said[:200]}")
    return done.stdout


def progress(text):
    print(f"{NAME}: {text}", file=sys.stderr, flush=True)


def own_command():
    """As it was typed, but with libraries by name: no path gets out."""
    words = []
    for word in sys.argv[1:]:
        parts = [part if "=" not in part or part.startswith("--") else
                 part.split("=")[0] + "=" + pathlib.PurePath(part).name
                 for part in word.split(",")]
        words.append(",".join(parts))
    return shlex.join([f"bench/counts/{NAME}", *words])


def new_document(options, compared):
    return {
        "command": own_command(),
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "machine": machine.facts(),
        "quick": options.quick,
        "allocators": {one.name: {"role": one.role, "version": one.version}
                       for one in compared},
        "failures": {},
        "figures": {},
    }


def machine_lines(document):
    facts = ", ".join(f"{key}: {value}"
                      for key, value in document["machine"].items())
    versions = ", ".join(f"{name}: {entry['version']}" for name, entry
                         in document["allocators"].items())
    lines = [f"- Made by `{document['command']}` on {document['date']}.",
             f"- Machine: {facts}.", f"- Allocators: {versions}."]
    if document["quick"]:
        lines.append("- With --quick: few calls and rounds. Times and rare "
                     "events mean nothing.")
    return lines + [f"- **{name} failed**: {why}"
                    for name, why in document["failures"].items()]


def peers(document):
    return [name for name, entry in document["allocators"].items()
            if entry["role"] == allocators.PEER]


def table(header, rows):
    """Markdown, aligned for the terminal too: words left, figures right."""
    widths = [max(len(row[i]) for row in [header, *rows])
              for i in range(len(header))]

    def line(row):
        cells = [cell.ljust(width) if place == 0 else cell.rjust(width)
                 for place, (cell, width) in enumerate(zip(row, widths))]
        return "| " + " | ".join(cells) + " |"

    rule = ["-" * width if place == 0 else "-" * (width - 1) + ":"
            for place, width in enumerate(widths)]
    return "\n".join([line(header), "| " + " | ".join(rule) + " |",
                      *map(line, rows)])


def json_text(document):
    """A line for each figure, so that a file can be read and diffed."""
    lines = []
    for key, value in document.items():
        if key == "figures":
            inner = ",\n".join(f"  {json.dumps(name)}: {json.dumps(entry)}"
                               for name, entry in value.items())
            lines.append(f' "figures": {{\n{inner}\n }}')
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def write(options, document, text, drawings=()):
    """`drawings`: pairs of a suffix and an SVG's text. The end of a command:
    its exit status says whether ptm failed."""
    folder = BENCH / "results" if options.out else BUILD / "results"
    folder.mkdir(exist_ok=True)
    name = options.out or NAME
    body = "\n".join(machine_lines(document)) + "\n\n" + text
    made = {".json": json_text(document),
            ".md": f"# Result of bench/counts/{NAME}: {name}\n\n{body}",
            **dict(drawings)}
    for suffix, content in made.items():
        (folder / (name + suffix)).write_text(content, encoding="utf-8")
    print(body)
    print(f"Written: {', '.join(name + suffix for suffix in made)} in "
          f"{folder.relative_to(ROOT)}")
    ours = [one for one, entry in document["allocators"].items()
            if entry["role"] == allocators.OURS]
    if any(one in document["failures"] for one in ours):
        fail("ptm failed; see above")
