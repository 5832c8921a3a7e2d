#!/usr/bin/python3
"""Stands before an S3 server that checks nothing, and checks the signatures (version 4, in header fields).

usage: s3_front.py [--upstream HOST:PORT] --key KEY --secret SECRET [--token TOKEN] [--region REGION]
                   [--host-style SUFFIX]
       s3_front.py --examples

Prints "port N" once it listens, then "STATUS METHOD PATH SIGNED-FIELDS" a request.  What is not signed
well is answered 403 SignatureDoesNotMatch; what is goes upstream.  With --host-style, BUCKET.SUFFIX in the
field Host becomes the first segment of the path there.  A key below "fault/" is no request: what follows is
the code of the error to give, and its status: fault/503/SlowDown.

It is written from Amazon's description and from nothing of ours; --examples holds it to the examples in
that description.
"""

import argparse
import datetime
import hashlib
import hmac
import http.client
import http.server
import sys
import urllib.parse

EMPTY = hashlib.sha256(b"").hexdigest()


def quoted(text, safe=""):
    return urllib.parse.quote(text, safe="-._~" + safe)


def signature(secret, method, target, fields, signed, payload, date, region):
    """What the signature of a request should be; fields: a dictionary with names in lower case."""
    path, _, query = target.partition("?")
    pairs = []
    for pair in query.split("&") if query else []:
        name, _, value = pair.partition("=")
        pairs.append((quoted(urllib.parse.unquote(name)), quoted(urllib.parse.unquote(value))))
    canonical = "\n".join([
        method,
        quoted(urllib.parse.unquote(path), "/"),
        "&".join(f"{name}={value}" for name, value in sorted(pairs)),
        "".join(f"{name}:{' '.join(fields[name].split())}\n" for name in signed),
        ";".join(signed),
        payload,
    ])
    scope = f"{date[:8]}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for part in (date[:8], region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def examples():
    """S3's API reference, "Authenticating requests: using the authorization header"."""
    secret, date = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20130524T000000Z"
    base = {"host": "examplebucket.s3.amazonaws.com", "x-amz-content-sha256": EMPTY, "x-amz-date": date}
    for target, more, want in (
        ("/test.txt", {"range": "bytes=0-9"},
         "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
        ("/?lifecycle", {}, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("/?max-keys=2&prefix=J", {}, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ):
        fields = base | more
        got = signature(secret, "GET", target, fields, sorted(fields), EMPTY, date, "us-east-1")
        if got != want:
            sys.exit(f"{target}: {got}, expected {want}")
    print("ok")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def refuse(self, status, code, words=""):
        body = (f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code>'
                f"<Message>{words}</Message></Error>").encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return status

    def fault(self):
        """What is wrong with the request, or None."""
        options, fields = OPTIONS, {name.lower(): value for name, value in self.headers.items()}
        scheme, _, rest = fields.get("authorization", "").partition(" ")
        words = dict(word.strip().split("=", 1) for word in rest.split(",") if "=" in word)
        date, signed = fields.get("x-amz-date", ""), words.get("SignedHeaders", "").split(";")
        self.signed = ";".join(signed)
        if scheme != "AWS4-HMAC-SHA256":
            return "AccessDenied", "no signature"
        if words["Credential"] != f"{options.key}/{date[:8]}/{options.region}/s3/aws4_request":
            return "InvalidAccessKeyId", words["Credential"]
        if fields.get("x-amz-content-sha256") != EMPTY:
            return "XAmzContentSHA256Mismatch", "of an empty body"
        if fields.get("x-amz-security-token") != options.token:
            return "InvalidToken", "the session token"
        missing = {name for name in fields if name.startswith("x-amz-") or name == "host"} - set(signed)
        if missing or sorted(signed) != signed:
            return "SignatureDoesNotMatch", f"not signed: {missing}"
        then = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
        if abs((datetime.datetime.now(datetime.timezone.utc) - then).total_seconds()) > 900:
            return "RequestTimeTooSkewed", date
        want = signature(options.secret, self.command, self.path, fields, signed, EMPTY, date, options.region)
        if words["Signature"] != want:
            return "SignatureDoesNotMatch", f"{words['Signature']}, expected {want}"
        return None

    def do_GET(self):
        fault = self.fault()
        if fault is not None:
            status = self.refuse(403, *fault)
        elif "/fault/" in self.path:
            status, code = self.path.split("/fault/")[1].split("/")[:2]
            status = self.refuse(int(status), code)
        else:
            status = self.forward()
        print(status, self.command, self.path, self.signed, flush=True)

    def forward(self):
        path, host = self.path, self.headers["Host"]
        suffix = OPTIONS.host_style
        if suffix and host.split(":")[0].endswith("." + suffix):
            path = "/" + host.split(":")[0][: -len(suffix) - 1] + path
        conn = http.client.HTTPConnection(OPTIONS.upstream)
        fields = {name: value for name, value in self.headers.items() if name.lower() == "if-none-match"}
        conn.request("GET", path, headers=fields)
        answer = conn.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                self.send_header(name, value)
        if answer.status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return answer.status


def main():
    global OPTIONS
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", action="store_true")
    parser.add_argument("--upstream")
    parser.add_argument("--key")
    parser.add_argument("--secret")
    parser.add_argument("--token")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--host-style")
    OPTIONS = parser.parse_args()
    if OPTIONS.examples:
        examples()
        return
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print("port", server.server_address[1], flush=True)
    server.serve_forever()


main()
