#!/usr/bin/env python3
"""Prints openspf.org's test suite for RFC 7208, which Debian's python3-spf has in its documentation, as JSON for spf_test.cc:
cases with what they ask and expect, and the zones that they see, a DNS answer for each name and type."""

import gzip
import json
import os
import socket
import sys

import yaml

PLACES = ("/usr/share/doc/python3-spf/rfc7208-tests.yml", "/usr/share/doc/python3-spf/rfc7208-tests.yml.gz")
TYPES = ("A", "AAAA", "MX", "PTR", "TXT")


def wire_name(name):
    labels = [label.encode() for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([min(len(label), 63)]) + label[:63] for label in labels) + b"\0"


def wire(kind, value):
    if kind == "A":
        return socket.inet_aton(value)
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, value)
    if kind == "MX":
        return value[0].to_bytes(2, "big") + wire_name(value[1])
    if kind == "PTR":
        return wire_name(value)
    strings = [value] if isinstance(value, str) else value
    pieces = [string.encode()[at:at + 255] for string in strings for at in range(0, max(len(string.encode()), 1), 255)]
    return b"".join(bytes([len(piece)]) + piece for piece in pieces)


def answers(zone, name, kind, depth=0):
    """(status, records) as a name server would say it."""
    entries = zone.get(name.lower())
    if entries is None:
        return "no_domain", []
    types = [key for entry in entries if isinstance(entry, dict) for key in entry]
    records, silent = [], "TIMEOUT" in entries
    for entry in entries:
        if not isinstance(entry, dict):
            continue
        for key, value in entry.items():
            key = "TXT" if key == "SPF" and "TXT" not in types else key
            if key == "CNAME" and depth < 2:
                return answers(zone, value.rstrip("."), kind, depth + 1)
            if key != kind or value == "NONE":
                continue
            if value == "TIMEOUT":
                return "failed", []
            records.append(wire(kind, value).hex())
    if records:
        return "found", records
    return ("failed" if silent else "no_data"), []


def main():
    path = next((path for path in PLACES if os.path.exists(path)), None)
    if path is None:
        sys.exit("the test suite is not there; install Debian's python3-spf")
    opened = gzip.open(path, "rt", encoding="utf-8") if path.endswith(".gz") else open(path, encoding="utf-8")
    scenarios = []
    with opened as file:
        for scenario in yaml.safe_load_all(file):
            zone = {name.lower(): entries for name, entries in scenario["zonedata"].items()}
            table = {f"{name} {kind}": answers(zone, name, kind) for name in zone for kind in TYPES}
            cases = [{"name": name, "host": str(case["host"]), "helo": str(case["helo"]), "mailfrom": str(case["mailfrom"]),
                      "results": [case["result"]] if isinstance(case["result"], str) else case["result"],
                      "explanation": case.get("explanation")} for name, case in scenario["tests"].items()]
            scenarios.append({"name": scenario["description"], "zone": table, "cases": cases})
    json.dump(scenarios, sys.stdout)


main()
