"""pprof.py FILE: the profile in FILE, read by hand, as lines of
    FUNCTION alloc_objects alloc_space inuse_objects inuse_space pinned_space
with a function's own sums and those of all that it calls; the first is "total".
Fails where the file is not what pprof wants: numbers that are not there, or
twice, or values that do not fit the types.
"""
import collections
import sys


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7f) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data):
    """(number, value): an int, or bytes."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        else:
            assert key & 7 == 2, f"wire type {key & 7}"
            size, at = varint(data, at)
            assert at + size <= len(data), "cut off"
            value, at = data[at:at + size], at + size
        yield key >> 3, value


def packed(data):
    at, values = 0, []
    while at < len(data):
        value, at = varint(data, at)
        values.append(value)
    return values


def message(data):
    return dict(fields(data))


def main():
    parts = collections.defaultdict(list)
    for number, value in fields(open(sys.argv[1], "rb").read()):
        parts[number].append(value)
    strings = [text.decode() for text in parts[6]]
    assert strings[0] == ""
    types = [(strings[m[1]], strings[m[2]]) for m in map(message, parts[1])]
    assert types == [("alloc_objects", "count"), ("alloc_space", "bytes"),
                     ("inuse_objects", "count"), ("inuse_space", "bytes"),
                     ("pinned_space", "bytes")], types
    period = message(parts[11][0])
    assert (strings[period[1]], strings[period[2]]) == ("space", "bytes")
    assert strings[parts[14][0]] == "inuse_space"
    mappings = {m[1]: m for m in map(message, parts[3])}
    functions = {f[1]: strings[f[2]] for f in map(message, parts[5])}
    locations = {loc[1]: loc for loc in map(message, parts[4])}
    assert len(mappings) == len(parts[3]) and len(functions) == len(parts[5])
    assert len(locations) == len(parts[4]) and 0 not in locations
    names = {}
    for number, location in locations.items():
        line = message(location[4]) if 4 in location else {}
        names[number] = functions[line[1]] if line else hex(location[3])
        if location[2] != 0:
            mapping = mappings[location[2]]
            assert mapping[2] <= location[3] < mapping[3]
    sums = {"total": [0] * len(types)}
    for sample in map(message, parts[2]):
        values = packed(sample[2])
        assert len(values) == len(types)
        stack = {names[number] for number in packed(sample[1])}
        for name in {"total", *stack}:
            own = sums.setdefault(name, [0] * len(types))
            sums[name] = [a + b for a, b in zip(own, values)]
    for name, values in sums.items():
        print(name, *values)


main()
