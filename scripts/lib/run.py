"""The part of scripts/run that follows the build: configuration, accounts, start and stop of the two daemons."""

import argparse
import email.message
import email.utils
import fcntl
import imaplib
import json
import os
import secrets
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import time
import tomllib

PROGRAMS = os.environ["POSTRIDER_PROGRAMS"]
MARK = "# Written by scripts/run from its arguments. Take this line away to keep changes of your own.\n"
# name of the option, section of the configuration, daemon, default port, TLS from the first byte
PORTS = [("smtp", "mta", 2525, False), ("submission", "mta", 2587, False), ("submissions", "mta", 2465, True),
         ("imap", "imapd", 2143, False), ("imaps", "imapd", 2993, True)]
DAEMONS = ("mta", "imapd")
START_SECONDS = 30
STOP_SECONDS = 40


class Failure(Exception):
    """What went wrong, as a sentence for the person at the terminal."""


def main():
    arguments = parse_arguments()
    directory = os.path.abspath(arguments.dir)
    try:
        if arguments.stop:
            return stop(directory)
        return start(arguments, directory)
    except Failure as failure:
        print(f"run: {failure}", file=sys.stderr)
        return 1


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/run", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Starts Postrider: both daemons, over the data in DIR. With no arguments it makes example.test and\n"
                    "alice@example.test, sends one mail, reads it back, and says how to go on with swaks and Thunderbird.")
    parser.add_argument("--dir", metavar="DIR", default="./postrider-data",
                        help="configuration, state, logs and pid files (default: %(default)s)")
    parser.add_argument("--address", metavar="ADDR", help="listen here (default: 127.0.0.1)")
    for name, _, port, _ in PORTS:
        parser.add_argument(f"--{name}", metavar="PORT", type=int, help=f"default: {port}; 0: off")
    parser.add_argument("--domain", metavar="D", action="append", default=[], help="take mail for this domain; repeatable")
    parser.add_argument("--user", metavar="ADDRESS:PASSWORD", action="append", default=[],
                        help="make this account if it is not there; repeatable")
    parser.add_argument("--route", metavar="DOMAIN=HOST:PORT", action="append", default=[],
                        help="send a domain's mail to HOST:PORT instead of its MX; repeatable")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[],
                        help='write a configuration key, for instance queue.lifetime=10s; repeatable')
    parser.add_argument("--detach", action="store_true", help="return when every port answers, leave the daemons running")
    parser.add_argument("--stop", action="store_true", help="stop the daemons of DIR and return when they have ended")
    return parser.parse_args()


def start(arguments, directory):
    os.makedirs(os.path.join(directory, "log"), mode=0o750, exist_ok=True)
    with open(os.path.join(directory, ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at once would start a daemon twice
        changed = write_configuration(arguments, directory)
        ports = configured_ports(directory)
        mailctl(directory, "config", "check")
        credentials = make_accounts(arguments, directory)
        started = []
        try:
            for daemon in DAEMONS:
                pid = running(directory, daemon)
                if not pid:
                    started.append((daemon, start_daemon(directory, daemon, ports)))
                elif changed:
                    os.kill(pid, signal.SIGHUP)
                    print(f"run: {daemon} was running and has been told to read its configuration again; "
                          f"a changed port needs --stop first", file=sys.stderr)
            wait_for_ports(directory, ports, started)
        except BaseException:
            take_back(directory, started)
            raise
    stopping = [] if arguments.detach else catch_signals()
    if not arguments.user and credentials:
        first_mail(directory, ports, *credentials)
        say_how_to_go_on(directory, ports, *credentials)
    elif not arguments.detach:
        say_where(directory, ports)
    if arguments.detach:
        return 0
    return stay(directory, stopping)


# Configuration

def write_configuration(arguments, directory):
    """Writes DIR/config.toml, unless it was edited by hand or nothing was asked for. True when it differs from before."""
    path = os.path.join(directory, "config.toml")
    before = None
    if os.path.exists(path):
        with open(path) as file:
            before = file.read()
        asked = arguments.address or arguments.route or arguments.set or arguments.domain or any(
            getattr(arguments, name) is not None for name, _, _, _ in PORTS)
        if not asked:
            return False
        if not before.startswith(MARK):
            print(f"run: {path} has been edited and is used as it is", file=sys.stderr)
            return False
    settings = {"server": {"state": os.path.join(directory, "state"), "pid_directory": directory}}
    domains = [domain for domain in arguments.domain] + [user_of(user)[0].rpartition("@")[2] for user in arguments.user]
    settings["server"]["hostname"] = "mail." + (domains or ["example.test"])[0]
    for name, _, port, _ in PORTS:
        chosen = getattr(arguments, name)
        settings[name] = {"address": arguments.address or "127.0.0.1", "port": port if chosen is None else chosen}
    for route in arguments.route:
        domain, equals, target = route.partition("=")
        if not equals or ":" not in target:
            raise Failure(f'--route takes DOMAIN=HOST:PORT, not "{route}"')
        settings.setdefault("routes", {})[domain] = target
    for setting in arguments.set:
        key, equals, value = setting.partition("=")
        if not equals or "." not in key:
            raise Failure(f'--set takes SECTION.KEY=VALUE, not "{setting}"')
        section, _, name = key.strip().partition(".")
        settings.setdefault(section, {})[name.strip().strip('"')] = toml_value(value.strip())
    text = MARK
    for section, values in settings.items():
        text += f"\n[{section}]\n"
        for name, value in values.items():
            text += f"{name if name.replace('_', '').isalnum() and name.isascii() else json.dumps(name)} = {to_toml(value)}\n"
    if text == before:
        return False
    temporary = path + ".new"
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "w") as file:
        file.write(text)
    os.replace(temporary, path)
    return before is not None


def toml_value(text):
    """A value as TOML says it, or, where a shell has eaten the quotes, the string or list of strings that was meant."""
    try:
        return tomllib.loads("value = " + text)["value"]
    except tomllib.TOMLDecodeError:
        pass
    if text.startswith("[") and text.endswith("]"):
        return [toml_value(item.strip()) for item in text[1:-1].split(",") if item.strip()]
    return text.strip('"')


def to_toml(value):
    if isinstance(value, list):
        return "[" + ", ".join(to_toml(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)  # strings, numbers and booleans look alike in both


def configured_ports(directory):
    """Where the daemons listen: {name: (address to connect to, port)}."""
    with open(os.path.join(directory, "config.toml"), "rb") as file:
        try:
            settings = tomllib.load(file)
        except tomllib.TOMLDecodeError as error:
            raise Failure(f"{file.name}: {error}")
    ports = {}
    for name, _, port, _ in PORTS:
        section = settings.get(name, {})
        address = section.get("address", "127.0.0.1")
        ports[name] = ({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address), section.get("port", port))
    return {name: where for name, where in ports.items() if where[1]}


# Accounts

def mailctl(directory, *arguments, stdin=""):
    result = subprocess.run(
        [os.path.join(PROGRAMS, "mailctl/mailctl"), "--config", os.path.join(directory, "config.toml"), *arguments],
        input=stdin, text=True, capture_output=True)
    if result.returncode:
        raise Failure((result.stderr or result.stdout).strip() or f"mailctl {' '.join(arguments)} failed")
    return result.stdout


def user_of(argument):
    at = argument.find("@")
    colon = argument.find(":", at)
    if at < 1 or colon < 0:
        raise Failure(f'--user takes ADDRESS:PASSWORD, not "{argument}"')
    return argument[:at + 1] + argument[at + 1:colon], argument[colon + 1:]


def make_accounts(arguments, directory):
    """Makes what is missing. Gives (address, password) of an account that a first mail may be sent to, if one is known."""
    users = [user_of(user) for user in arguments.user]
    accounts = {account["address"].lower() for account in json.loads(mailctl(directory, "--json", "account", "list"))}
    domains = {domain["domain"].lower() for domain in json.loads(mailctl(directory, "--json", "domain", "list"))}
    password_file = os.path.join(directory, "first-account")
    first = None
    if not users and not arguments.domain:
        if os.path.exists(password_file):
            with open(password_file) as file:
                first = tuple(file.read().split())
        elif not accounts:
            first = ("alice@example.test", secrets.token_urlsafe(12))
            with open(os.open(password_file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
                file.write(" ".join(first) + "\n")
        users = [first] if first else []
    for domain in dict.fromkeys([*arguments.domain, *(address.rpartition("@")[2] for address, _ in users)]):
        if a_label(domain) not in domains:
            mailctl(directory, "domain", "add", domain)
    missing = [(address, password) for address, password in dict(users).items() if canonical(address) not in accounts]
    jobs = []
    begun = {address.rpartition("@")[2] for address in accounts}
    for address, password in missing:  # hashing a password is meant to be slow, so use every core
        while len(jobs) >= (os.cpu_count() or 1):
            finish(jobs.pop(0))
        command = [os.path.join(PROGRAMS, "mailctl/mailctl"), "--config", os.path.join(directory, "config.toml"),
                   "account", "add", address, "--password-stdin"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        process.stdin.write(password + "\n")
        process.stdin.close()
        process.stdin = None
        domain = canonical(address).rpartition("@")[2]
        if domain in begun:
            jobs.append(process)
        else:  # the first account of a domain gets the postmaster's mail: it is the one that was named first
            begun.add(domain)
            finish(process)
    for process in jobs:
        finish(process)
    return first


def a_label(domain):
    try:
        return domain.encode("idna").decode().lower()
    except UnicodeError:
        return domain.lower()


def canonical(address):
    local_part, _, domain = address.rpartition("@")
    return f"{local_part.lower()}@{a_label(domain)}"


def finish(process):
    _, errors = process.communicate()
    if process.returncode:
        raise Failure(errors.strip())


# Daemons

def running(directory, daemon):
    """The process id of a daemon of this folder, or None. A number that now belongs to another program does not count."""
    try:
        with open(os.path.join(directory, f"{daemon}.pid")) as file:
            pid = int(file.read())
    except (OSError, ValueError):
        return None
    return pid if lives(pid, daemon) else None


def lives(pid, daemon):
    try:
        with open(f"/proc/{pid}/comm") as file:
            name = file.read().strip()
        with open(f"/proc/{pid}/stat") as file:
            state = file.read().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return name == daemon and state != "Z"


def start_daemon(directory, daemon, ports):
    for name, owner, _, _ in PORTS:
        if owner == daemon and name in ports:
            check_free(name, *ports[name])
    log = open(os.path.join(directory, "log", f"{daemon}.log"), "ab")
    with log:
        return subprocess.Popen(
            [os.path.join(PROGRAMS, daemon, daemon), "--config", os.path.join(directory, "config.toml")],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=directory)


def check_free(name, address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise Failure(f"cannot listen on {address} port {port}: {error.strerror}; choose another with --{name} PORT")


def wait_for_ports(directory, ports, started):
    waiting = [(name, owner, tls) for name, owner, _, tls in PORTS if name in ports]
    end = time.monotonic() + START_SECONDS
    while waiting:
        for daemon, process in started:
            if process.poll() is not None:
                raise Failure(f"{daemon} did not start: {last_line(directory, daemon)}")
        name, owner, tls = waiting[0]
        if answers(*ports[name], tls):
            waiting.pop(0)
        elif time.monotonic() > end:
            raise Failure(f"{owner} does not answer on {ports[name][0]} port {ports[name][1]} ({name}) after "
                          f"{START_SECONDS} s; see {os.path.join(directory, 'log', owner + '.log')}")
        else:
            time.sleep(0.02)
    for daemon, process in started:
        while running(directory, daemon) != process.pid:
            if time.monotonic() > end:
                raise Failure(f"{daemon} runs but has not written {os.path.join(directory, daemon + '.pid')}")
            time.sleep(0.02)


def answers(address, port, tls):
    try:
        with socket.create_connection((address, port), 5) as connection:
            if tls:
                connection = any_certificate().wrap_socket(connection)
            greeting = connection.recv(512)
            connection.sendall(b"a LOGOUT\r\n" if greeting.startswith(b"*") else b"QUIT\r\n")
            return bool(greeting)
    except OSError:
        return False


def take_back(directory, started):
    """Ends what a start that failed has begun; whoever tries again finds nothing of it."""
    for _, process in started:
        process.terminate()
    for daemon, process in started:
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        path = os.path.join(directory, f"{daemon}.pid")
        try:  # one that ended before it heeded signals leaves it, perhaps with nothing in it; one that runs has it locked
            with open(path) as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(path)
        except (FileNotFoundError, BlockingIOError):
            pass


def last_line(directory, daemon):
    with open(os.path.join(directory, "log", f"{daemon}.log"), errors="replace") as file:
        lines = file.read().strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def stop(directory):
    pids = {daemon: running(directory, daemon) for daemon in DAEMONS}
    for pid in filter(None, pids.values()):
        os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + STOP_SECONDS
    for daemon, pid in pids.items():
        while pid and lives(pid, daemon):  # for a moment after it has removed its file
            if time.monotonic() > end:
                print(f"run: {daemon} did not end within {STOP_SECONDS} s and was killed", file=sys.stderr)
                os.kill(pid, signal.SIGKILL)
                break
            time.sleep(0.02)
        try:
            os.unlink(os.path.join(directory, f"{daemon}.pid"))
        except FileNotFoundError:
            pass
    return 0


def catch_signals():
    """From now on a signal that ends this program is put into the list that this gives."""
    caught = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: caught.append(number))
    return caught


def stay(directory, stopping):
    """Shows the logs until a signal or the end of a daemon."""
    logs = [open(os.path.join(directory, "log", f"{daemon}.log"), "rb") for daemon in DAEMONS]
    for log in logs:
        log.seek(0, os.SEEK_END)
    status = 0
    while not stopping and not status:
        for daemon, log in zip(DAEMONS, logs):
            for line in log.read().splitlines():
                print(f"{daemon}: {line.decode(errors='replace')}", flush=True)
            if not running(directory, daemon):
                print(f"run: {daemon} has ended: {last_line(directory, daemon)}", file=sys.stderr)
                status = 1
        time.sleep(0.2)
    stop(directory)
    return status


# The first mail

def any_certificate():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def first_mail(directory, ports, address, password):
    message = email.message.EmailMessage()
    message["From"] = message["To"] = address
    message["Subject"] = "Postrider is running"
    message["Date"] = email.utils.formatdate(localtime=True)
    message["Message-ID"] = email.utils.make_msgid(domain=address.rpartition("@")[2])
    message.set_content("This mail went in by SMTP and comes out by IMAP.\n")
    for name in ("smtp", "imap"):
        if name not in ports:
            return
    began = time.monotonic()
    with smtplib.SMTP(*ports["smtp"], timeout=30) as client:
        client.send_message(message)
    accepted = time.monotonic()
    with imaplib.IMAP4(*ports["imap"], timeout=30) as client:
        client.login(address, password)
        while True:
            client.select("INBOX", readonly=True)
            found = client.search(None, "HEADER", "Message-ID", message["Message-ID"])[1][0].split()
            if found:
                break
            if time.monotonic() > accepted + 30:
                raise Failure(f"the first mail was accepted but is not in the mailbox after 30 s; see {directory}/log")
            time.sleep(0.01)
        text = client.fetch(found[-1], "(BODY.PEEK[])")[1][0][1].decode()
    print(f"Sent and read back a mail in {(time.monotonic() - began) * 1000:.0f} ms "
          f"({(accepted - began) * 1000:.0f} ms to SMTP's 250):\n")
    print("\n".join("    " + line for line in text.splitlines()))


def say_how_to_go_on(directory, ports, address, password):
    host, smtp = ports["smtp"]
    print(f"""
Account    {address}
Password   {password}

Send it a mail:

    swaks --server {host}:{smtp} --from bob@elsewhere.test --to {address}

Read it in Thunderbird (Account Settings, Account Actions, Add Mail Account, Configure manually; the certificate is
self-signed: confirm the exception when it asks):

    {'':10}{'protocol':10}{'host':17}{'port':6}{'security':12}{'authentication':17}user name""")
    for label, protocol, name, security in (("Incoming", "IMAP", "imaps", "SSL/TLS"), ("Outgoing", "SMTP", "submissions", "SSL/TLS"),
                                            ("or", "IMAP", "imap", "STARTTLS"), ("or", "SMTP", "submission", "STARTTLS")):
        if name in ports:
            print(f"    {label:10}{protocol:10}{ports[name][0]:17}{ports[name][1]:<6}{security:12}{'Normal password':17}{address}")
    say_where(directory, ports)


def say_where(directory, ports):
    listening = ", ".join(f"{name} {where[1]}" for name, where in ports.items())
    print(f"""
Listening on {next(iter(ports.values()))[0]}: {listening}
Configuration {directory}/config.toml, logs {directory}/log/
Stop with:    scripts/run --dir {directory} --stop
Administer:   {PROGRAMS}/mailctl/mailctl --config {directory}/config.toml --help
""", flush=True)


if __name__ == "__main__":
    sys.exit(main())
