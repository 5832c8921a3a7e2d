#!/usr/bin/python3
"""What a keeper (aiosmtpd_server.py) saw, by its own clock.

arrivals.py most DIR SPAN [DOMAIN]    the most messages that came within any SPAN seconds
arrivals.py least-gap DIR             the shortest time from one message to the next
arrivals.py at-once DIR [DOMAIN]      the most conversations that overlapped
arrivals.py order DIR [DOMAIN]        their subjects in the order in which they came
arrivals.py count DIR FROM TO         how many came between these instants
"""
import email
import json
import os
import sys


def envelopes(directory, domain=None):
    found = []
    for name in sorted(os.listdir(directory)):
        if not name.endswith(".json"):
            continue
        with open(os.path.join(directory, name), encoding="utf-8") as file:
            envelope = json.load(file)
        envelope["path"] = os.path.join(directory, name[:-5] + ".eml")
        if domain is None or any(r.endswith("@" + domain) for r in envelope["recipients"]):
            found.append(envelope)
    return sorted(found, key=lambda e: e["came"])


def most(directory, span, domain=None):
    times = [e["came"] for e in envelopes(directory, domain)]
    best = 0
    for i, start in enumerate(times):
        best = max(best, sum(1 for t in times[i:] if t < start + float(span)))
    return best


def least_gap(directory):
    times = [e["came"] for e in envelopes(directory)]
    return min(b - a for a, b in zip(times, times[1:]))


def at_once(directory, domain=None):
    steps = []
    for e in envelopes(directory, domain):
        steps += [(e["begun"], 1), (e["done"], -1)]
    best = now = 0
    for _, step in sorted(steps):
        now += step
        best = max(best, now)
    return best


def order(directory, domain=None):
    subjects = []
    for e in envelopes(directory, domain):
        with open(e["path"], "rb") as file:
            subjects.append(email.message_from_binary_file(file)["Subject"])
    return " ".join(subjects)


def count(directory, start, end):
    return sum(1 for e in envelopes(directory) if float(start) <= e["came"] < float(end))


if __name__ == "__main__":
    print({"most": most, "least-gap": least_gap, "at-once": at_once, "order": order,
           "count": count}[sys.argv[1]](*sys.argv[2:]))
