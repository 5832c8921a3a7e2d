#!/usr/bin/python3
"""Runs the examples that README.md and the manual pages print.

examples.py list TOP            prints each example: page, line, kind and first line
examples.py run TOP LIST PAGE   runs those of a page; prints what is wrong, one fault a paragraph
examples.py stale TOP LIST      prints the entries of LIST that no page prints any more

An example is a literal display of a page (.Bd -literal, .Dl) or a fenced block of README.md.  Its kind
follows from its text:

  conf   settings of mailq.conf: the programs must accept them
  json   a message: mailq-add must accept it
  nginx  settings of nginx: it must accept them
  shell  commands, which must succeed without a warning.  With "$ " before them, what follows a command is
         its output.

LIST names what cannot be run: page, "example" or "command", its first line, and why, with tabs between.

It must run as root of namespaces of its own (mounts and network): it brings up the loopback, puts
files of its own over /etc and /run, and so has the names, ports and files of the examples.
"""
import fcntl
import os
import pty
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import time

PATIENCE = 120  # seconds; a matter of failing tests only
FAKE_SATURDAY = "@2026-11-21 12:00:00"  # for examples that say what follows on a Saturday


class Example:
    def __init__(self, page, line, text):
        self.page, self.line, self.text = page, line, text
        self.first = text.strip().split("\n")[0].strip()
        self.kind = kind_of(text)


def kind_of(text):
    first = text.lstrip()
    if first.startswith("$ "):
        return "shell"
    if first[:1] in "{[":
        return "json"
    if first.startswith("location "):
        return "nginx"
    if re.match(r"[a-z_]+ *(:|=) *[({\"\[]", first):
        return "conf"
    return "shell"


# ---- the pages ---------------------------------------------------------------------------------

def unescape(line):
    """A line of mdoc as it is read."""
    line = re.sub(r"\\&", "", line)
    line = line.replace(r"\(aq", "'").replace(r"\(dq", '"')
    return line.replace(r"\e", "\\")


def page_examples(top, page):
    path = os.path.join(top, page if page.endswith(".md") else "man/" + page)
    with open(path, encoding="utf-8") as file:
        lines = file.read().split("\n")
    found, block, begun = [], None, 0
    for number, line in enumerate(lines, 1):
        if page.endswith(".md"):
            begins = ends = line.startswith("```")
        else:
            begins, ends = line.startswith(".Bd -literal"), line.startswith(".Ed")
            if block is None and line.startswith(".Dl "):
                found.append(Example(page, number, unescape(line[4:])))
                continue
            line = unescape(line)
        if block is None:
            if begins:
                block, begun = [], number + 1
        elif ends:
            found.append(Example(page, begun, "\n".join(block)))
            block = None
        else:
            block.append(line)
    return found


def pages(top):
    return ["README.md"] + sorted(os.listdir(os.path.join(top, "man")))


def excuses(path):
    """{(page, "example" or "command", first line)}"""
    found = set()
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                page, what, text, reason = re.split("\t+", line.rstrip("\n"))
                if what not in ("example", "command") or not reason.strip():
                    raise SystemExit(f"{path}: not understood: {line}")
                found.add((page, what, text))
    return found


def bare(line):
    """A command's first line without the remark behind it."""
    return re.sub(r"\s+#.*", "", line.strip())


# ---- commands and what they print --------------------------------------------------------------

def is_whole(text):
    """Whether bash would begin to run it."""
    if text.endswith("\\") or text.rstrip().endswith("|"):
        return False
    here = re.search(r"<<'?(\w+)'?", text)
    if here and not re.search(r"^%s$" % here.group(1), text, re.M):
        return False
    return subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True,
                          check=False).returncode == 0


def steps(example):
    """[(command, expected output or None)] of a shell example."""
    found, lines = [], example.text.split("\n")
    dollar = any(line.startswith("$ ") for line in lines)
    while lines:
        line = lines.pop(0)
        if not line.strip() or (not dollar and line.lstrip().startswith("#")):
            continue
        if dollar and not line.startswith("$ "):
            raise SystemExit(f"{example.page}:{example.line}: output before the first command: {line}")
        command = line[2:] if dollar else line
        while not is_whole(command) and lines:
            command += "\n" + lines.pop(0)
        expected = [] if dollar else None
        while dollar and lines and not lines[0].startswith("$ "):
            expected.append(lines.pop(0))
        found.append((command, expected))
    return found


def pattern(lines):
    """What stands for the printed lines: times, ids, spans and addresses are of the day."""
    text = "\n".join(line.rstrip() for line in lines).strip("\n")
    out = re.escape(text)
    for printed, real in (
            (r"(?:1ng|1nf)[0-9a-z]{17}", r"[0-9a-z]{20}"),
            (r"\d{4}\\-\d\d\\-\d\d(?:\\ |T)\d\d:\d\d(?::\d\d)?Z?",
             r"\\d{4}-\\d\\d-\\d\\d[ T]\\d\\d:\\d\\d(?::\\d\\d)?Z?"),
            (r"\\\(in\\ [^)]*\\\)", r"\\(in [^)]*\\)"),
            (r"\d+\\\.\d+\\\.\d+\\\.\d+:\d+", r"[0-9.]+:\\d+"),
            (r"SIZE\\ \d+", r"SIZE \\d+"),
            (r"\\\.\\\.\\\.", r".*")):
        out = re.sub(printed, real, out)
    return re.compile(out, re.S)


def says(printed, got):
    """Whether got is what was printed; a display may break a long line of words."""
    if printed == []:
        return True
    wanted = pattern(printed)
    got = "\n".join(line.rstrip() for line in got.replace("\r", "").split("\n")).strip("\n")
    return bool(wanted.fullmatch(got)) or bool(
        pattern([" ".join(printed)]).fullmatch(" ".join(got.split("\n"))))


# ---- a machine of our own ----------------------------------------------------------------------

def machine(work):
    """Loopback, names, files and a certificate: what the examples speak of."""
    probe = socket.socket()
    fcntl.ioctl(probe, 0x8914, struct.pack("16sh", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: up, running
    # What of /etc may be read, as files of our own; /run and what nginx writes empty.
    subprocess.run(["cp", "-a", "--no-preserve=ownership", "/etc", work], check=False, capture_output=True)
    subprocess.run(["mount", "--bind", f"{work}/etc", "/etc"], check=True)
    for path in ("/run", "/var/lib/nginx", "/var/log/nginx"):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", path], check=True)
    os.makedirs("/run/mailq")
    os.makedirs("/etc/mailq")
    with open("/etc/hosts", "w", encoding="utf-8") as file:
        file.write("127.0.0.1 localhost example-host smtp.example.com mx2.example.com mx.example.net"
                   " smtp.example.net imap.example.com app.example.com\n")
    for path, text in (("/etc/mailq.password", "secret\n"), ("/etc/mailq/shop.token", "x" * 32 + "\n"),
                       ("/etc/mailq/app.token", "y" * 32 + "\n")):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    certificates(work)


def certificates(work):
    """A certificate of the relay that this machine trusts."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                    "-nodes", "-days", "2", "-subj", "/CN=smtp.example.com", "-addext",
                    "subjectAltName=DNS:*.example.com,DNS:*.example.net", "-keyout", f"{work}/relay.key",
                    "-out", f"{work}/relay.pem"], check=True, capture_output=True)
    shutil.copy(f"{work}/relay.pem", "/etc/mailq/cert.pem")
    # Libraries look for an authority by the hash of its name, or in one file with all of them.
    name = subprocess.run(["openssl", "x509", "-in", f"{work}/relay.pem", "-noout", "-hash"], check=True,
                          capture_output=True, text=True).stdout.strip()
    for path in ("/etc/ssl/certs/ca-certificates.crt", f"/etc/ssl/certs/{name}.0"):
        shutil.copy(f"{work}/relay.pem", path)
    shutil.copy(f"{work}/relay.key", "/etc/mailq/key.pem")


def relay(helpers, work, stop):
    """An SMTP server with TLS and a login on ports 587 and 25."""
    for port in (587, 25):
        process = subprocess.Popen(["/usr/bin/python3", os.path.join(helpers, "examples_relay.py"),
                                    str(port), f"{work}/relay.pem", f"{work}/relay.key"],
                                   stdin=subprocess.DEVNULL)
        stop.append(process)
        wait_port(port)


def port_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(is_so, what):
    end = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > end:
            raise SystemExit(f"gave up waiting for {what}")
        time.sleep(0.02)


def wait_port(port):
    wait_for(lambda: port_open(port), f"port {port}")


# ---- running -----------------------------------------------------------------------------------

class Runner:
    def __init__(self, top, build, work):
        self.top, self.build, self.work = top, build, work
        self.conf, self.faults, self.left = [], [], []
        self.home = f"{work}/home"
        os.makedirs(self.home)
        self.env = {"PATH": f"{build}/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": self.home, "TZ": "UTC",
                    "LC_ALL": "C.UTF-8", "MAILQ_SPOOL": f"{work}/spool", "USER": "root",
                    "MAILQ_CONFIG": f"{work}/mailq.conf", "PAGER": "cat"}
        self.write_conf([])

    def write_conf(self, texts):
        with open(self.env["MAILQ_CONFIG"], "w", encoding="utf-8") as file:
            file.write("\n".join(texts) + "\n")

    def fault(self, example, text):
        self.faults.append(f"{example.page}:{example.line}: {text}")

    def bash(self, command, fake=False, terminal=False):
        """The status and all that it printed."""
        words = ["bash", "-c", command.replace("@bindir@", self.build + "/bin")]
        if fake:
            words = ["faketime", "-f", FAKE_SATURDAY] + words
        if terminal:
            return self.on_terminal(words)
        done = subprocess.run(words, cwd=self.home, env=self.env, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE,
                              check=False)
        return done.returncode, done.stdout

    def on_terminal(self, words):
        """The same on a terminal, at which somebody types a password."""
        pid, master = pty.fork()
        if pid == 0:
            os.chdir(self.home)
            os.execvpe(words[0], words, self.env)
        got, asked = b"", False
        while True:
            if not asked and b"Password" in got:
                # What is typed before the echo is off is thrown away.
                wait_for(lambda: not termios.tcgetattr(master)[3] & termios.ECHO, "the echo to go off")
                os.write(master, b"secret\n")
                asked = True
            try:
                piece = os.read(master, 4096)
            except OSError:
                break
            if not piece:
                break
            got += piece
        os.close(master)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return status, got.decode().replace("secret\r\n", "")

    def background(self, command):
        """A command that stays: it is told to end when the page is done."""
        command = bare(command)
        socket_path = re.search(r"--listen (/\S+)", command)
        with open(f"{self.work}/background.log", "a", encoding="utf-8") as log:
            process = subprocess.Popen(["bash", "-c", "exec env " + command.rstrip("& ")], cwd=self.home,
                                       env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.left.append(process)
        if socket_path:
            wait_for(lambda: os.path.exists(socket_path.group(1)), socket_path.group(1))
        elif "mailq-serve" in command:
            wait_port(8000)
        return process

    def stop(self, process):
        process.send_signal(signal.SIGTERM)
        return process.wait(PATIENCE)

    def watched(self, example, process):
        """A mailq-run --watch delivers what comes in, and ends with 0 when it is told to."""
        code, got = self.bash(ADD + "--id watched")
        wait_for(lambda: " sent by " in self.bash("mailq-status log watched")[1], "mailq-run --watch")
        self.left.remove(process)
        if code != 0 or self.stop(process) != 0:
            self.fault(example, f"mailq-run --watch ends with {process.returncode}; {got}")

    def shell(self, example, unable):
        for command, expected in steps(example):
            first = bare(command.split("\n")[0])
            if (example.page, "command", first) in unable:
                continue
            if first.endswith("&") or re.match(r"mailq-run --watch|mailq-serve", first):
                process = self.background(command)
                if "--watch" in first:
                    self.watched(example, process)
                continue
            code, got = self.bash(command, first == "mailq-rules next" and example.page == "mailq-rules.1",
                                  "password=-" in command)
            if code != 0 or (expected is None and re.search("^mailq-[a-z]+: ", got, re.M)):
                self.fault(example, f"$ {command}\nexits with {code}, and prints:\n{got}")
            elif expected is not None and not says(expected, got):
                self.fault(example, f"$ {command}\nprints:\n{got}\nThe page says:\n" + "\n".join(expected))

    def json(self, example):
        with open(f"{self.work}/message.json", "w", encoding="utf-8") as file:
            file.write(example.text)
        code, got = self.bash(f"mailq-add --json {self.work}/message.json")
        if code != 0:
            self.fault(example, f"mailq-add --json exits with {code}, and prints:\n{got}")

    def nginx(self, example):
        """The proxy of the page before mailq-serve, which listens on the socket that the page names."""
        with open(f"{self.work}/nginx.conf", "w", encoding="utf-8") as file:
            file.write(f"user root;\npid {self.work}/nginx.pid;\ndaemon off;\nerror_log stderr;\nevents {{ }}\n"
                       f"http {{ access_log off; server {{ listen 127.0.0.1:80;\n{example.text}\n}} }}\n")
        self.background(f"nginx -c {self.work}/nginx.conf")
        wait_port(80)
        code, got = self.bash("curl -sS http://localhost/health")
        if code != 0 or got != '{"status":"ok"}':
            self.fault(example, f"behind nginx, /health answers:\n{got}")

    def settings(self, example):
        """Each must be accepted; all of a page together, but for those that each make a whole file."""
        whole = example.page == "mailq.conf.5"
        self.conf = [example.text] if whole else self.conf + [example.text]
        self.write_conf(self.conf)
        code, got = self.bash(f"mailq-rules -s {self.work}/other accounts list")
        if code != 0 or "mailq-rules:" in got:
            self.fault(example, f"the settings are refused with {code}:\n{got}")
            self.conf.pop()
            self.write_conf(self.conf)

    def page(self, page, unable):
        prelude = PRELUDE.get(page)
        if prelude:
            code, got = self.bash("set -e\n" + FILES + prelude)
            if code != 0:
                raise SystemExit(f"{page}: the prelude fails with {code}: {got}")
        for example in page_examples(self.top, page):
            if (page, "example", example.first) in unable:
                continue
            {"shell": lambda e: self.shell(e, unable), "json": self.json,
             "conf": self.settings, "nginx": self.nginx}[example.kind](example)
        for process in self.left:
            if process.poll() is not None or self.stop(process) != 0:
                raise SystemExit(f"{page}: {process.args[2]} ended with {process.returncode}")


# What stands in the home of whoever tries the examples of a page, and what he did before.
FILES = r"""
printf 'From: me@example.com\nTo: you@example.org\nSubject: Hi\n\nHello.\n' >message.eml
printf '{"from":"me@example.com","to":["a@example.org"],"subject":"S","body":"B"}\n' >messages.jsonl
cp messages.jsonl newsletter.jsonl
printf 'Hello.\n' >news.txt
printf '%%PDF-1.4 small\n' | tee report.pdf figures.pdf >invoice.pdf
"""
ACCOUNT = r"""cat >"$MAILQ_CONFIG" <<'END'
accounts: ( { id = "main"; host = "smtp.example.com"; } );
END
"""
ADD = "mailq-add --from me@example.com --to you@example.org --subject S --body B "
PRELUDE = {
    "README.md": "true",
    "mailq-add.1": "true",
    "mailq-run.1": ACCOUNT + ADD + "--id MSG-101\n" + ADD + "--id MSG-102 --at +1h\n",
    "mailq-serve.1": "true",
    "mailq-status.1": ACCOUNT + "handle() { :; }\n" + ADD + "--id MSG-101 --account main --batch spring\n",
}


def main():
    command, top = sys.argv[1], sys.argv[2]
    if command == "list":
        for page in pages(top):
            for example in page_examples(top, page):
                print(page, example.line, example.kind, example.first, sep="\t")
        return 0
    unable = excuses(sys.argv[3])
    if command == "stale":
        printed = {(page, "example", example.first) for page in pages(top)
                   for example in page_examples(top, page)}
        printed |= {(page, "command", bare(re.sub(r"^\$ ", "", line))) for page in pages(top)
                    for example in page_examples(top, page) for line in example.text.split("\n")}
        stale = sorted(unable - printed)
        for page, what, line in stale:
            print(f"{page}: prints no such {what} any more: {line}")
        return bool(stale)
    page, work = sys.argv[4], os.getcwd()
    helpers = os.path.dirname(os.path.abspath(__file__))
    stop = []
    machine(work)
    relay(helpers, work, stop)
    try:
        runner = Runner(top, os.environ["MAILQ_BUILD"], work)
        runner.page(page, unable)
    finally:
        for process in stop:
            process.terminate()
            process.wait()
    for fault in runner.faults:
        print(fault + "\n")
    return bool(runner.faults)


sys.exit(main())
