"""openapi.py DOCUMENT ACTION ARGUMENT...: holds the API's description against the server.

routes			the table of routes, on standard input, is that of the document
examples URL		each operation's example, sent to a server without a token that captures, gets the
			answer that is documented for success
refused URL		a server with the tokens "all", "send", "read" and "admin" of those scopes, and with
			server.max_body = 64 KiB, answers 401, 403, 404, 409, 413 and 422 where that is documented
malformed URL		a server with the token "t" answers each operation's path with a NUL in its query as 400
broken URL		a server whose spool holds a directory where its rules belong answers 500, and says no more
full URL		a server without room on its disk answers 503 where that is documented

Every answer is held against its schema, which is taken for complete: what it does not name may not be
there.  Prints what is wrong, and how many answers were looked at; exits 1 where something was wrong.
"""
import copy
import http.client
import json
import sys
import time
import urllib.parse

import jsonschema

METHODS = ("get", "post", "patch", "delete")
BOUNDARY = "a-boundary-of-the-test"
HUGE = 1 << 40


def close(schema):
    """What is not named may not be there."""
    if isinstance(schema, dict):
        if "properties" in schema and "additionalProperties" not in schema:
            schema["additionalProperties"] = False
        for value in schema.values():
            close(value)
    elif isinstance(schema, list):
        for value in schema:
            close(value)


class Api:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.document = json.load(file)
        self.closed = copy.deepcopy(self.document)
        close(self.closed["components"])
        close(self.closed["paths"])
        self.faults = []
        self.looked_at = 0
        self.seen = set()

    def operations(self):
        for path, methods in self.document["paths"].items():
            for method in METHODS:
                if method in methods:
                    yield method, path, methods[method]

    def resolve(self, node, document=None):
        document = document or self.document
        while "$ref" in node:
            target = document
            for step in node["$ref"][2:].split("/"):
                target = target[step]
            node = target
        return node

    def parameters(self, operation):
        return [self.resolve(p) for p in operation.get("parameters", [])]

    def fault(self, text):
        self.faults.append(text)

    # ---- requests --------------------------------------------------------------------------------

    def example_body(self, operation):
        """The example, as bytes, and its Content-Type; None where there is no body."""
        content = operation.get("requestBody", {}).get("content", {})
        if "application/json" in content:
            return json.dumps(content["application/json"]["example"]).encode(), "application/json"
        if "multipart/form-data" in content:
            return form(content["multipart/form-data"]["example"])
        return None, None

    def target(self, path, operation, values=None):
        """The path with its examples in it, and the query of those that are required."""
        values = values or {}
        query = {}
        for p in self.parameters(operation):
            value = values.get(p["name"], p.get("example"))
            if p["in"] == "path":
                path = path.replace("{%s}" % p["name"], urllib.parse.quote(value, safe=""))
            elif p["in"] == "query" and (p.get("required") or p["name"] in values):
                query[p["name"]] = value
        return path + ("?" + urllib.parse.urlencode(query) if query else "")

    def ask(self, url, method, target, body=None, content_type=None, headers=None):
        connection = http.client.HTTPConnection(url, timeout=60)
        try:
            sent = dict(headers or {})
            if content_type:
                sent["Content-Type"] = content_type
            if body is HUGE:
                # It is refused before a byte of it is read.
                connection.putrequest(method.upper(), target)
                for name, value in dict(sent, **{"Content-Length": str(HUGE)}).items():
                    connection.putheader(name, value)
                connection.endheaders()
            else:
                connection.request(method.upper(), target, body, sent)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    # ---- answers ---------------------------------------------------------------------------------

    def check(self, what, method, path, answer, wanted):
        """The answer has the status that is wanted, which is documented, and its form."""
        status, headers, body = answer
        self.looked_at += 1
        if status != wanted:
            self.fault(f"{what}: answered {status}, expected {wanted}: {body[:300]!r}")
            return
        self.seen.add((method, path, str(status)))
        responses = self.closed["paths"][path][method]["responses"]
        named = [name for name in (str(status), f"{status // 100}XX", "default") if name in responses]
        if not named:
            self.fault(f"{what}: {status} is not documented")
            return
        response = self.resolve(responses[named[0]], self.closed)
        for name in response.get("headers", {}):
            if name not in headers and name != "X-Next-Cursor":
                self.fault(f"{what}: {status} without {name}")
        self.check_content(what, response.get("content", {}), headers, body)

    def check_content(self, what, content, headers, body):
        kind = headers.get("Content-Type", "").split(";")[0]
        if not content:
            if body:
                self.fault(f"{what}: a body, and none is documented")
            return
        if kind not in content and "*/*" not in content:
            self.fault(f"{what}: {kind!r} is not documented, but {' '.join(content)}")
            return
        if kind != "application/json" or kind not in content:
            return
        schema = dict(content[kind]["schema"], components=self.closed["components"])
        validator = jsonschema.Draft202012Validator(schema)
        for error in validator.iter_errors(json.loads(body)):
            self.fault(f"{what}: {error.json_path}: {error.message[:300]}")

    def report(self):
        for fault in self.faults:
            print(fault)
        print(f"{self.looked_at} answers looked at")
        return 1 if self.faults or self.looked_at == 0 else 0


def form(fields):
    parts = []
    for name, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            parts.append(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{one}\r\n')
    parts.append(f"--{BOUNDARY}--\r\n")
    return "".join(parts).encode(), f"multipart/form-data; boundary={BOUNDARY}"


# ---- actions -------------------------------------------------------------------------------------


def routes(api):
    table = {tuple(line.split()[:2]): line.split()[2:] for line in sys.stdin}
    documented = {(method.upper(), path): operation for method, path, operation in api.operations()}
    for key in sorted(table.keys() - documented.keys()):
        api.fault(f"{' '.join(key)}: a route that is not documented")
    for key in sorted(documented.keys() - table.keys()):
        api.fault(f"{' '.join(key)}: documented, and no route")
    for key in table.keys() & documented.keys():
        operation, (name, scope) = documented[key], table[key]
        api.looked_at += 1
        if operation["operationId"] != name:
            api.fault(f"{' '.join(key)}: operationId {operation['operationId']}, expected {name}")
        if (operation.get("security") == []) != (scope == "open"):
            api.fault(f"{' '.join(key)}: its security is not that of the scope {scope}")
        if ("401" in operation["responses"]) != (scope != "open"):
            api.fault(f"{' '.join(key)}: 401 is documented, or not, against its scope {scope}")
        named = {p["name"] for p in api.parameters(operation) if p["in"] == "path"}
        if named != {part[1:-1] for part in key[1].split("/") if part.startswith("{")}:
            api.fault(f"{' '.join(key)}: path parameters")


def success(operation):
    return next(int(code) for code in operation["responses"] if code.startswith("2"))


def drain(api, url):
    """Until nothing waits: an account that is made takes what does, and then cannot be deleted."""
    api.ask(url, "post", "/commands/activate", b"{}", "application/json")
    api.ask(url, "post", "/commands/activate", b'{"batch_code":"november"}', "application/json")
    end = time.monotonic() + 60
    while time.monotonic() < end:
        api.ask(url, "post", "/commands/run-now", b"{}", "application/json")
        if api.ask(url, "get", "/messages/count_active")[2] == b"0":
            return
        time.sleep(0.05)
    api.fault("the queue is not drained")


def examples(api, url):
    for method, path, operation in api.operations():
        body, content_type = api.example_body(operation)
        values = {}
        if path.startswith("/captured/"):
            _, _, listed = api.ask(url, "get", "/captured")
            # The one that came by the form: it is HTML.
            values["id"] = json.loads(listed)["captured"][-1]["id"]
        if operation["operationId"] in ("putAccount", "grownAddAccount"):
            drain(api, url)
        target = api.target(path, operation, values)
        answer = api.ask(url, method, target, body, content_type)
        what = f"{method.upper()} {target}"
        api.check(what, method, path, answer, success(operation))
        if answer[2][:11] == b'{"ok":false':
            api.fault(f"{what}: the example does not work: {answer[2]!r}")
        if path in ("/captured", "/captured/{id}"):
            answer = api.ask(url, method, target, headers={"Accept": "text/html,*/*;q=0.8"})
            api.check(what, method, path, answer, 200)
            if not answer[1]["Content-Type"].startswith("text/html"):
                api.fault(f"{what}: no page for a browser")
        if "304" in operation["responses"] and "ETag" in answer[1]:
            answer = api.ask(url, method, target, headers={"If-None-Match": answer[1]["ETag"]})
            api.check(what, method, path, answer, 304)


def refusal(api, path, operation, code, own):
    """What provokes this answer: target, body, Content-Type, headers."""
    body, content_type = api.example_body(operation)
    target = api.target(path, operation)
    if code == "404":
        named = {p["name"]: "no-such" for p in api.parameters(operation) if p["in"] == "path" or p.get("required")}
        return api.target(path, operation, named), body, content_type, own
    if code == "413":
        return target, HUGE, content_type, own
    if code == "409":
        other = {"emails": ["other@example.com"], "subject": "other", "body": "other"}
        if content_type and content_type.startswith("multipart"):
            return target, *form(other), own
        return target, (body or b"") + b" ", content_type, own
    wrong = b"[]" if content_type == "application/json" else form({"subject": ""})[0]
    queries = [p["name"] for p in api.parameters(operation) if p["in"] == "query"]
    if body is None:
        name = next(n for n in ("limit", "message_id", "older_than_seconds") if n in queries)
        return f"{path}?{name}={'' if name == 'message_id' else 'x'}", None, None, own
    return target, wrong, content_type, own


def refused(api, url, table):
    scope_of = {(m.lower(), p): scope for m, p, _, scope in (line.split() for line in open(table))}
    for method, path, operation in api.operations():
        scope = scope_of[method, path]
        own = {} if scope == "open" else {"X-API-Token": scope}
        for code in operation["responses"]:
            what = f"{method.upper()} {path} ({code})"
            if code == "401":
                answer = api.ask(url, method, api.target(path, operation))
                api.check(what, method, path, answer, 401)
                answer = api.ask(url, method, api.target(path, operation), headers={"X-API-Token": "wrong"})
            elif code == "403":
                other = "read" if scope != "read" else "send"
                answer = api.ask(url, method, api.target(path, operation), headers={"X-API-Token": other})
            elif code == "404" and path.endswith("openapi.json"):
                continue  # where it is not installed
            elif code == "409":
                body, content_type = api.example_body(operation)
                headers = dict(own, **{"Idempotency-Key": "the-same-key"})
                target, other, _, _ = refusal(api, path, operation, code, own)
                first = api.ask(url, method, target, body, content_type, headers)
                if first[0] >= 400:
                    # What is refused leaves the key unused: it takes something to delete.
                    made = api.ask(url, "post", "/commands/rules", b"{}", "application/json", {"X-API-Token": "admin"})
                    newest = json.loads(made[2])["rules"][-1]["id"]
                    target = api.target(path, operation, {"id": str(newest)})
                    api.ask(url, method, target, body, content_type, headers)
                answer = api.ask(url, method, target, other, content_type, headers)
            elif code in ("404", "413", "422"):
                target, body, content_type, headers = refusal(api, path, operation, code, own)
                answer = api.ask(url, method, target, body, content_type, headers)
            else:
                continue
            api.check(what, method, path, answer, int(code))


def full(api, url):
    for method, path, operation in api.operations():
        if "503" not in operation["responses"]:
            continue
        body, content_type = api.example_body(operation)
        answer = api.ask(url, method, api.target(path, operation), body, content_type)
        api.check(f"{method.upper()} {path} (503)", method, path, answer, 503)


def malformed(api, url):
    """What no route is asked about: each operation describes it all the same."""
    for method, path, operation in api.operations():
        own = {"X-API-Token": "t"}
        answer = api.ask(url, method, api.target(path, operation) + "?x=%00", None, None, own)
        api.check(f"{method.upper()} {path} (400)", method, path, answer, 400)


def broken(api, url):
    """The server's spool has things in it where others belong."""
    for method, path in (("get", "/commands/rules"), ("post", "/commands/rules")):
        operation = api.document["paths"][path][method]
        body, content_type = api.example_body(operation)
        answer = api.ask(url, method, path, body, content_type)
        api.check(f"{method.upper()} {path} (500)", method, path, answer, 500)
        if b"rules" in answer[2] or b"/" in answer[2]:
            api.fault(f"{path}: a stranger is told of the spool: {answer[2]!r}")


def main():
    api = Api(sys.argv[1])
    {"routes": routes, "examples": examples, "refused": refused, "full": full, "malformed": malformed, "broken": broken}[sys.argv[2]](api, *sys.argv[3:])
    return api.report()


if __name__ == "__main__":
    sys.exit(main())
