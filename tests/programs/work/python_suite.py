"""Runs the modules of Python's regression tests that stdin names, and prints a
line for each test: its name and how it ended.

A module with a failure, or that was not ended when its time was up, runs twice
more, one at a time: what counts of a test is the best of its results. So a test
that fails on a machine that is busy is no difference, and one that always fails
is.
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


def run(modules, processes):
    """What each test said, and the modules that did not end well."""
    report = os.path.abspath("results.xml")
    if os.path.exists(report):
        os.unlink(report)
    command = [sys.executable, "-m", "test", f"-j{processes}",
               "--junit-xml", report, "--tempdir", os.getcwd(),
               "--timeout", str(TIME_LIMIT)]
    for pattern in IGNORED:
        command += ["-i", pattern]
    done = subprocess.run(command + modules, text=True, check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    print(done.stdout, file=sys.stderr)
    failed = set()
    for part in re.findall(r"failed[^\n]*:\n((?:    .*\n)+)", done.stdout):
        failed |= set(re.findall(r"\btest_\w+", part))
    results = {}
    if os.path.exists(report):
        for case in xml.etree.ElementTree.parse(report).iter("testcase"):
            marks = [mark.tag for mark in case if mark.tag in ORDER]
            results[case.get("name")] = (marks or [case.get("result")])[0] or "error"
    return results, sorted(failed & set(modules))


def better(one, other):
    return min(one, other, key=ORDER.index)


def main():
    modules = [name for name in sys.stdin.read().split()
               if name not in EXCLUDED]
    results, failed = run(modules, 2)
    for _ in range(2):
        if not failed:
            break
        again, failed = run(failed, 1)
        for name, result in again.items():
            results[name] = better(result, results.get(name, result))
    for name in sorted(results):
        print(name, results[name])
    for name in failed:
        print(name, "as a whole: failed")


main()
