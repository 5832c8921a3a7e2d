"""serve_load.py PORT PREFIX CLIENTS REQUESTS BATCH ANSWERS [KEYS]

CLIENTS threads post REQUESTS batches each of BATCH messages to add-messages, every message to a recipient
of its own ("PREFIX-CLIENT-REQUEST-INDEX@example.org").  Every recipient whose message was answered
as queued gets a line in the file ANSWERS.  A request that found no server, or lost it, is posted again
where KEYS is "keys", under the same Idempotency-Key, until it is answered; else it counts as lost.
Prints "queued N, lost N".
"""

import http.client
import json
import sys
import threading
import time

PORT, PREFIX, CLIENTS, REQUESTS, BATCH, ANSWERS = (
    int(a) if a.isdigit() else a for a in sys.argv[1:7]
)
KEYS = sys.argv[7:] == ["keys"]
DEADLINE = time.monotonic() + 90

lock = threading.Lock()
queued = lost = 0
faults = []


def message(name):
    return {
        "from": "app@example.com",
        "to": [f"{name}@example.org"],
        "subject": name,
        "body": f"Message {name}\n",
    }


class Client(threading.Thread):
    def __init__(self, number):
        super().__init__()
        self.number = number
        self.connection = None

    def attempt(self, body, headers):
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
        try:
            self.connection.request("POST", "/commands/add-messages", body, headers)
            answer = self.connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            self.connection.close()
            self.connection = None
            return None, None

    def post(self, body, headers):
        while True:
            status, answer = self.attempt(body, headers)
            if status == 200 or not KEYS:
                return status, answer
            if status not in (None, 409, 503) or time.monotonic() > DEADLINE:
                faults.append(f"{status} {answer}")
                return status, answer
            time.sleep(0.01)

    def run(self):
        global queued, lost
        for request in range(REQUESTS):
            names = [f"{PREFIX}-{self.number}-{request}-{i}" for i in range(BATCH)]
            body = json.dumps({"messages": [message(n) for n in names]})
            headers = {"Content-Type": "application/json"}
            if KEYS:
                headers["Idempotency-Key"] = names[0]
            status, answer = self.post(body, headers)
            with lock:
                if status != 200:
                    lost += 1
                    if not KEYS and status is None:
                        return
                    continue
                if answer["queued"] != BATCH or len(answer["ids"]) != BATCH:
                    faults.append(str(answer)[:300])
                queued += answer["queued"]
                with open(ANSWERS, "a") as file:
                    file.write("".join(n + "\n" for n in names))


clients = [Client(i) for i in range(CLIENTS)]
for c in clients:
    c.start()
for c in clients:
    c.join()
print(f"queued {queued}, lost {lost}")
for fault in faults[:5]:
    print(fault)
sys.exit(1 if faults else 0)
