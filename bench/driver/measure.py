"""One run of one load under one allocator, and the rounds of all of them.

Rounds are outermost and, within a load, the allocators follow each other
directly, in an order that moves on by one each time: what the machine does
meanwhile falls on all of them alike, and none is always the one after the
noisiest.
"""
import hashlib
import os
import signal
import subprocess

from driver import loads

# Only against a run that hangs; nothing is judged by it.
LIMIT_SECONDS = 180

# With the name and the path of the preload, the environment has the same size
# for each: its size moves the stack, and that alone can cost per cents.
ENVIRONMENT_ROOM = 400


class Failed(Exception):
    """Why a run gave no figures, in words."""


def environment_for(load, allocator):
    environment = dict(loads.ENVIRONMENT, HOME=str(load.folder),
                       TMPDIR=str(load.folder), **load.environment)
    environment["LD_PRELOAD"] = allocator.library
    room = ENVIRONMENT_ROOM - len(allocator.library)
    if allocator.options:
        environment["PTM_OPTIONS"] = allocator.options
        room -= len("PTM_OPTIONS=") + len(allocator.options) + 1
    environment["BENCH_PADDING"] = "x" * max(room, 0)
    return environment


def figures_in(text):
    """The lines of a key and a value; all but the digest are numbers."""
    found = {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == "digest":
            found[key] = value
        else:
            number = round(float(value), 7)
            found[key] = int(number) if number.is_integer() else number
    return found


def kill_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def drive(load, process, quick):
    """Waits for the command; a server is kept busy meanwhile. What the client
    printed."""
    printed = ""
    if load.is_server:
        printed = subprocess.run(
            [str(load.script), "client"], cwd=load.folder, check=True,
            text=True, timeout=LIMIT_SECONDS, stdout=subprocess.PIPE,
            env=loads.script_environment(load.folder, quick)).stdout
    process.wait(timeout=LIMIT_SECONDS)
    return printed


def last_line_of(path):
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return f": {lines[-1][:150]}" if lines else ""


def run(load, allocator, launch, quick):
    """The figures of one run, all of them."""
    usage, out, err = (load.folder / name
                       for name in ("usage.txt", "out.txt", "err.txt"))
    usage.unlink(missing_ok=True)
    with open(out, "wb") as out_file, open(err, "wb") as err_file:
        process = subprocess.Popen(
            [str(launch), str(usage), *load.arguments], cwd=load.folder,
            env=environment_for(load, allocator), stdin=subprocess.DEVNULL,
            stdout=out_file, stderr=err_file, start_new_session=True)
        try:
            printed = drive(load, process, quick)
        except (subprocess.TimeoutExpired,
                subprocess.CalledProcessError) as error:
            what = ("ran too long" if isinstance(
                error, subprocess.TimeoutExpired) else "did not answer")
            raise Failed(what + last_line_of(err)) from error
        finally:
            kill_group(process)
    if not usage.exists():
        raise Failed("did not start" + last_line_of(err))
    figures = figures_in(usage.read_text(encoding="utf-8"))
    status = int(figures.pop("exit_status"))
    if status != 0:
        raise Failed(f"ended with status {status}" + last_line_of(err))
    if load.script is None:
        figures.update(figures_in(out.read_text(encoding="utf-8")))
    else:
        figures["cpu_seconds"] = (figures["user_seconds"]
                                  + figures["system_seconds"])
        figures.update(figures_in(printed))
        if not load.is_server:
            digest = hashlib.sha256(out.read_bytes()).hexdigest()
            figures["digest"] = digest[:16]
    # A table of the workload's own is no memory of the allocator's.
    figures["rss_kib"] = figures["peak_rss_kib"] - figures.pop("tables_kib", 0)
    return figures


def all_rounds(chosen, allocators, launch, options, results, progress):
    """Fills `results`, a map of load names; calls progress(...) before each
    run, and at the end of each round once without a load."""
    for number in range(options.rounds):
        for place, load in enumerate(chosen):
            result = results[load.name]
            start = (number + place) % len(allocators)
            for allocator in allocators[start:] + allocators[:start]:
                if allocator.name in result["failures"]:
                    continue
                progress(number, load, allocator)
                try:
                    figures = run(load, allocator, launch, options.quick)
                except Failed as failure:
                    result["failures"][allocator.name] = str(failure)
                    continue
                result["samples"].setdefault(allocator.name,
                                             []).append(figures)
        progress(number, None, None)


def check_digests(results, peers):
    """Same work, same output: whoever differs from the first peer failed."""
    for result in results.values():
        digests = {name: {sample.get("digest") for sample in samples}
                   for name, samples in result["samples"].items()}
        expected = next((digests[name] for name in peers if name in digests),
                        None)
        for name, found in digests.items():
            if expected is not None and found != expected:
                result["failures"][name] = "gave another result than the peers"
