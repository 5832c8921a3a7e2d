#!/usr/bin/python3
"""An application that pulls events and can be killed at any moment.

    puller.py URL DIRECTORY

What it got is DIRECTORY/events, one a line; behind which the cursor stands as the last line of
DIRECTORY/state, with the length of events that belongs to it: who starts again cuts off what is beyond.
"""
import json
import os
import sys
import time
import urllib.parse
import urllib.request


def main(url, directory):
    os.makedirs(directory, exist_ok=True)
    state = {"cursor": "", "length": 0}
    try:
        with open(f"{directory}/state") as f:
            state = json.load(f)
    except FileNotFoundError:
        pass
    with open(f"{directory}/events", "ab") as events:
        events.truncate(state["length"])
        while True:
            query = urllib.parse.urlencode({"after": state["cursor"], "limit": 7})
            with urllib.request.urlopen(f"{url}/events?{query}", timeout=60) as answer:
                got = json.load(answer)
            for event in got["events"]:
                events.write(json.dumps(event).encode() + b"\n")
            events.flush()
            state = {"cursor": got["next"], "length": events.tell()}
            with open(f"{directory}/state.new", "w") as f:
                json.dump(state, f)
            os.rename(f"{directory}/state.new", f"{directory}/state")
            if not got["events"]:
                time.sleep(0.02)


if __name__ == "__main__":
    main(*sys.argv[1:])
