# The input of programs/jq: make_json.py COUNT
import json
import sys

count = int(sys.argv[1])
people = []
for number in range(count):
    people.append({
        "name": "name %d" % (number * 7919 % 65537),
        "group": "group-%d" % (number % 211),
        "scores": [number * k % 101 for k in range(1, 8)],
        "address": {"street": "street %d" % (number % 997), "zip": number,
                    "flags": [number % 2 == 0, None, "a" * (number % 40)]},
    })
json.dump(people, sys.stdout)
