"""What is run: the workloads of build-bench/workloads and the real programs of
bench/programs. Both say themselves what they have; this file only asks."""
import dataclasses
import fnmatch
import os
import pathlib
import subprocess

CPU, THROUGHPUT, MEMORY = "cpu", "throughput", "memory"

# The same for everyone and in every run. No wish of the caller's gets through.
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C",
               "TZ": "UTC"}


@dataclasses.dataclass
class Load:
    name: str       # GROUP/NAME
    measure: str    # one of the three above
    arguments: list
    folder: pathlib.Path         # where it runs
    environment: dict = dataclasses.field(default_factory=dict)
    script: pathlib.Path = None  # of a real program
    is_server: bool = False

    @property
    def group(self):
        return self.name.split("/")[0]


# The order of tables and charts: from the smallest part to the whole.
GROUPS = ["pairs", "replace", "mass", "bignum", "linked", "buffers", "calloc",
          "large", "server", "pipeline", "exchange", "sharing", "threads"]


def workloads(build, scratch, quick):
    for group in GROUPS:
        program = str(build / "workloads" / group)
        listing = subprocess.run([program, "--list"], check=True, text=True,
                                 capture_output=True).stdout
        for line in listing.splitlines():
            name, measure, amount, quick_amount = line.split()
            wanted = quick_amount if quick else amount
            if wanted != "0":
                yield Load(f"{group}/{name}", measure,
                           [program, name, wanted], scratch)


def script_environment(folder, quick):
    environment = dict(ENVIRONMENT, HOME=str(folder), TMPDIR=str(folder))
    if quick:
        environment["BENCH_QUICK"] = "1"
    return environment


def ask_script(script, verb, folder, quick):
    return subprocess.run([str(script), verb], check=True, text=True,
                          cwd=folder, env=script_environment(folder, quick),
                          stdout=subprocess.PIPE).stdout


def described(script, scratch, quick):
    """A program's load, from the records that its script prints."""
    folder = scratch / script.name
    folder.mkdir(exist_ok=True)
    load = Load(f"programs/{script.name}", CPU, [], folder, script=script)
    for record in ask_script(script, "describe", folder,
                             quick).split("\0")[:-1]:
        key, _, value = record.partition("=")
        if key == "argument":
            load.arguments.append(value)
        elif key == "environment":
            name, _, text = value.partition("=")
            load.environment[name] = text
        elif key == "measure":
            load.measure = value
        elif key == "server":
            load.is_server = True
    return load


def programs(bench, scratch, quick):
    for script in sorted((bench / "programs").iterdir()):
        if script.is_file() and os.access(script, os.X_OK):
            yield described(script, scratch, quick)


def prepare(load, quick):
    if load.script is not None:
        ask_script(load.script, "prepare", load.folder, quick)


def find(bench, build, scratch, quick, patterns):
    found = list(workloads(build, scratch, quick))
    found += programs(bench, scratch, quick)
    return [load for load in found if not patterns or any(
        fnmatch.fnmatchcase(load.name, pattern) for pattern in patterns)]
