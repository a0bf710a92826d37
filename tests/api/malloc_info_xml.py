"""Judges the document that malloc_info prints.

usage: malloc_info_xml.py PROGRAM

PROGRAM print writes the document and one line of mallinfo2's numbers. The
document must be well-formed, have the elements and attributes that glibc's
has, in the same places, and sums that agree with each other and with
mallinfo2.
"""

import subprocess
import sys
import xml.etree.ElementTree


def number(element, name):
    text = element.attrib[name]
    assert text.isdigit(), f"{element.tag} {name}={text!r} is no number"
    return int(text)


def one(parent, tag, kind):
    found = [e for e in parent.findall(tag) if e.get("type") == kind]
    assert len(found) == 1, f"{len(found)} of <{tag} type={kind}>"
    return found[0]


def check_attributes(element, *names):
    assert set(element.keys()) == set(names), (element.tag, element.keys())


def check_sizes(heap):
    """All free chunks of the bins; returns their number and bytes."""
    (sizes,) = heap.findall("sizes")
    count = total = 0
    above = -1
    for entry in sizes:
        assert entry.tag in ("size", "unsorted"), entry.tag
        check_attributes(entry, "from", "to", "total", "count")
        low, high = number(entry, "from"), number(entry, "to")
        entries, taken = number(entry, "count"), number(entry, "total")
        assert low <= high and entries > 0
        assert entries * low <= taken <= entries * high
        if entry.tag == "size":
            assert low > above, "sizes rise and do not overlap"
            above = high
        count += entries
        total += taken
    return count, total


def check_heap(heap, index):
    check_attributes(heap, "nr")
    assert number(heap, "nr") == index
    known = {"sizes", "total", "system", "aspace"}
    assert {e.tag for e in heap} == known, {e.tag for e in heap}
    count, total = check_sizes(heap)
    rest = one(heap, "total", "rest")
    check_attributes(rest, "type", "count", "size")
    # The top is free as well, and in no bin.
    assert number(rest, "count") >= count
    assert number(rest, "size") >= total
    current = number(one(heap, "system", "current"), "size")
    assert number(rest, "size") <= current
    assert current <= number(one(heap, "system", "max"), "size")
    aspace = number(one(heap, "aspace", "total"), "size")
    assert number(one(heap, "aspace", "mprotect"), "size") <= aspace
    assert current <= aspace
    return count


def sum_of(heaps, tag, kind, name):
    return sum(number(one(heap, tag, kind), name) for heap in heaps)


def check_totals(root, heaps, info):
    rest = one(root, "total", "rest")
    # What glibc has in its fast bins is what is free in runs here.
    fast = one(root, "total", "fast")
    check_attributes(fast, "type", "count", "size")
    mapped = one(root, "total", "mmap")
    check_attributes(rest, "type", "count", "size")
    check_attributes(mapped, "type", "count", "size")
    for tag, kind, name in (
        ("total", "fast", "count"),
        ("total", "fast", "size"),
        ("total", "rest", "count"),
        ("total", "rest", "size"),
        ("system", "current", "size"),
        ("aspace", "total", "size"),
        ("aspace", "mprotect", "size"),
    ):
        closing = number(one(root, tag, kind), name)
        assert closing == sum_of(heaps, tag, kind, name), (tag, kind, name)
    system_max = number(one(root, "system", "max"), "size")
    assert system_max >= number(one(root, "system", "current"), "size")
    assert number(rest, "count") == info["ordblks"]
    assert number(fast, "count") == info["smblks"]
    assert number(fast, "size") == info["fsmblks"]
    assert (number(fast, "size") > 0) == (info["runs"] == 1)
    assert number(rest, "size") + number(fast, "size") == info["fordblks"]
    assert number(one(root, "system", "current"), "size") == info["arena"]
    assert number(mapped, "count") == info["hblks"] == 2
    assert number(mapped, "size") == info["hblkhd"]


def main():
    output = subprocess.run(
        [sys.argv[1], "print"], check=True, capture_output=True, text=True
    ).stdout
    document, line = output.rstrip("\n").rsplit("\n", 1)
    info = {
        name: int(value)
        for name, value in (pair.split("=") for pair in line.split())
    }
    root = xml.etree.ElementTree.fromstring(document)
    assert root.tag == "malloc" and root.attrib == {"version": "1"}
    heaps = root.findall("heap")
    assert len(heaps) > 1, "the program has made more than one arena"
    binned = [check_heap(heap, index) for index, heap in enumerate(heaps)]
    assert sum(binned) > 50, "the program has freed many blocks"
    check_totals(root, heaps, info)


main()
