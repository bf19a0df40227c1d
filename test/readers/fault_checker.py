"""usage: fault_checker.py TOPIC

Stays, since a Python a run would cost more than the run. For each line of JSON {"location", "deadLetters", "rowMax", "letterMax",
"filterEvery"} on stdin one line on stdout: the records of the topic, as an independent read_committed consumer has them (librdkafka,
KAFKA_BROKERS), against the rows of the table and of its dead-letter table as delta-rs reads them, offset by offset and byte by byte.

A record is a row where it is a JSON object whose `n` is an integer of at most rowMax, a letter where it is none of at most letterMax,
nothing where it has no value; of the rows those whose `n` filterEvery divides are left out (0: none).
"""

import json
import sys

from dead_letters import read, records


def main():
    truth = list(records(sys.argv[1]))
    for line in sys.stdin:
        try:
            answer = check(truth, **json.loads(line))
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


def check(truth, location, deadLetters, rowMax, letterMax, filterEvery):
    rows = read(location, "_partition, _offset, n")
    letters = read(deadLetters, 'partition, "offset", value')
    found = {"records": len(truth), "rows": len(rows), "letters": len(letters), "lost": 0, "wrong": 0}
    rows_at, letters_at = ({(p, o): value for p, o, value in of} for of in (rows, letters))
    found["duplicate"] = len(rows) - len(rows_at) + len(letters) - len(letters_at)
    examples = []
    for position, value in truth:
        n = number(value)
        row = n is not None and n <= rowMax and not (filterEvery and n % filterEvery == 0)
        letter = value is not None and (n is None or n > letterMax)
        for expected, what, at in ((n if row else None, "row", rows_at), (value if letter else None, "letter", letters_at)):
            has = at.pop(position, None)
            has = bytes(has) if what == "letter" and has is not None else has
            if has == expected:
                continue
            found["lost" if has is None else "wrong"] += 1
            examples.append(f"{position}: {what} {has} instead of {expected}")
    strangers = [*rows_at, *letters_at]
    found["wrong"] += len(strangers)
    examples += [f"{position}: of no record" for position in strangers]
    return found | {"examples": examples[:3]}


def number(value):
    try:
        document = json.loads(value)
    except (TypeError, ValueError):
        return None
    n = document.get("n") if isinstance(document, dict) else None
    return n if type(n) is int else None


if __name__ == "__main__":
    main()
