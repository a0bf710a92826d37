"""python_suite.py [OPTION...]: runs the modules of Python's regression tests that
stdin names, with options for its regrtest, and prints a line for each test: its
name and how it ended.

A module with a failure, or that was not ended when its time was up, runs twice
more, one at a time: what counts of a test is the best of its results. Some of
Python's tests hold threads and children to the clock; so a test that fails on a
machine that is busy is no difference, and one that always fails is. A module
that crashes does not run again, and whatever ptm has said is printed: both are
differences at once.
"""
import os
import re
import subprocess
import sys
import xml.etree.ElementTree

# What gdb makes of Python, what names a clock or a limit of time, and sockets of
# virtual machines, which wait for ever where the machine is one.
EXCLUDED = {"test_gdb"}
IGNORED = ["*timeout*", "*hang*", "*slow_close*", "*duplicate_futures*",
           "*VSOCK*"]
TIME_LIMIT = 1200
ORDER = ["completed", "skipped", "failure", "error"]


def run(modules, processes, options):
    """What each test said, the modules that did not end well, and those of them
    that crashed."""
    report = os.path.abspath("results.xml")
    if os.path.exists(report):
        os.unlink(report)
    command = [sys.executable, "-m", "test", f"-j{processes}",
               "--junit-xml", report, "--tempdir", os.getcwd(),
               "--timeout", str(TIME_LIMIT)]
    for pattern in IGNORED:
        command += ["-i", pattern]
    done = subprocess.run(command + options + modules, text=True, check=False,
                          errors="replace", stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(done.stdout, file=sys.stderr)
    print(*re.findall(r"\bptm: .*\n", done.stdout), sep="", end="")
    crashed = set(re.findall(r"\b(test_\w+) crashed", done.stdout))
    failed = set()
    for part in re.findall(r"failed[^\n]*:\n((?:    .*\n)+)", done.stdout):
        failed |= set(re.findall(r"\btest_\w+", part))
    results = {}
    if os.path.exists(report):
        for case in xml.etree.ElementTree.parse(report).iter("testcase"):
            marks = [mark.tag for mark in case if mark.tag in ORDER]
            results[case.get("name")] = (marks or [case.get("result")])[0] or "error"
    return results, (failed | crashed) & set(modules), crashed


def better(one, other):
    return min(one, other, key=ORDER.index)


def main():
    modules = [name for name in sys.stdin.read().split()
               if name not in EXCLUDED]
    options = sys.argv[1:]
    results, failed, crashed = run(modules, 2, options)
    for _ in range(2):
        if not failed - crashed:
            break
        again, failed, more = run(sorted(failed - crashed), 1, options)
        crashed |= more
        for name, result in again.items():
            results[name] = better(result, results.get(name, result))
    for name in sorted(results):
        print(name, results[name])
    for name in sorted(failed | crashed):
        print(name, "as a whole: failed")


main()
