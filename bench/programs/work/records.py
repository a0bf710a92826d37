# The work of programs/python: records.py COUNT
import json
import re
import sys


class Record:
    def __init__(self, number):
        self.number = number
        self.name = "record-%d" % (number * 7919 % 100003)
        self.tags = [self.name[-2:], str(number % 97)]
        self.fields = {"size": number % 1000, "note": "x" * (number % 60)}

    def as_dict(self):
        return {"number": self.number, "name": self.name, "tags": self.tags,
                **self.fields}


def index_by_tag(records):
    index = {}
    for record in records:
        for tag in record.tags:
            index.setdefault(tag, []).append(record)
    return index


def main():
    count = int(sys.argv[1])
    records = [Record(number) for number in range(count)]
    index = index_by_tag(records)
    text = json.dumps([record.as_dict() for record in records])
    again = json.loads(text)
    words = re.findall(r'"name": "([^"]*)"', text)
    merged = sorted(set(words), key=lambda word: word[::-1])
    # Every third goes and comes back in another place.
    for number in range(0, count, 3):
        records[number] = None
    records = [record for record in records if record] + [
        Record(number) for number in range(0, count, 3)]
    total = sum(len(tagged) for tagged in index.values())
    print(len(text), len(again), len(merged), total, len(records),
          sum(len("".join(record.tags)) for record in records))


main()
