"""Calls every command of the Databricks CLI for Unity Catalog against a server, and prints how many reach a route.

Usage: reach.py CLI URL TOKEN. Every argument is something made up, so most calls are refused; only whether a route serves
them counts. A command that sends nothing, since the CLI itself refuses what it was told, is listed as such.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request

SECTIONS = ["Unity Catalog", "Delta Sharing", "Governed Tags", "Tags"]
MORE = ["current-user", "groups", "service-principals", "users", "warehouses", "tag-policies", "pipelines"]


def run(cli, *arguments):
    return subprocess.run([cli, *arguments], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def groups(cli):
    """Returns the groups of commands that are about Unity Catalog."""
    found, section, known = [], "", set()
    for line in run(cli, "--help").stdout.splitlines():
        command = re.match(r"  ([a-z][a-z0-9-]*) ", line)
        if command:
            known.add(command[1])
            if section in SECTIONS:
                found.append(command[1])
        elif line and not line.startswith(" "):
            section = line.strip()
    return sorted(set(found) | set(MORE) & known)


def commands(cli, group):
    """Returns the calls of the API in a group."""
    names, inside = [], False
    for line in run(cli, group, "--help").stdout.splitlines():
        if line.startswith("Available Commands") or line.strip().endswith("Commands"):
            inside = True
        command = re.match(r"  ([a-z][a-z0-9-]*) ", line)
        if inside and command:
            names.append(command[1])
        if line.startswith("Flags"):
            break
    return names


def arguments(cli, group, name):
    """Returns the positional arguments of a command, and whether it takes JSON."""
    text = run(cli, group, name, "--help").stdout
    usage = re.search(r"^Usage:\n\s+(.*)$", text, re.M)
    words = re.findall(r"\b[A-Z][A-Z0-9_]+\b", usage[1]) if usage else []
    return words, "--json" in text


def requests(url):
    with urllib.request.urlopen(url + "/_emulator/trace") as answer:
        return [e for e in map(json.loads, answer.read().decode().splitlines()) if not e["path"].startswith("/.well-known")]


def reset(url):
    urllib.request.urlopen(urllib.request.Request(url + "/_emulator/trace", method="DELETE")).close()


def value(word):
    numbers = ("VERSION", "WORKSPACE_ID", "_SECONDS", "REFRESH_ID")
    return "table" if word == "SECURABLE_TYPE" else "1" if any(n in word for n in numbers) else "x"


def main(cli, url, token):
    os.chdir(tempfile.mkdtemp(dir=os.environ.get("WORK")))  # some commands write files where they run
    os.environ.update(DATABRICKS_HOST=url, DATABRICKS_TOKEN=token, DATABRICKS_CONFIG_FILE=os.devnull)
    served, missing, silent = 0, [], []
    for group in groups(cli):
        for name in commands(cli, group):
            words, takes_json = arguments(cli, group, name)
            sent = []
            attempts = [[value(w) for w in words]] + ([["--json", "{}"], [value(w) for w in words] + ["--json", "{}"]] if takes_json else [])
            for attempt in attempts:
                reset(url)
                run(cli, group, name, *attempt)
                sent = requests(url)
                if sent:
                    break
            if not sent:
                silent.append(group + " " + name)
            elif any(e["route"] == "/" for e in sent):
                missing.append(group + " " + name)
            else:
                served += 1
    version = run(cli, "--version").stdout.strip().rsplit(" ", 1)[-1]
    print(f"Databricks CLI {version}: {served} of {served + len(missing)} commands reach a call.")
    print("without a call: " + ", ".join(missing), file=sys.stderr)
    print("not sent by the CLI: " + ", ".join(silent), file=sys.stderr)


main(*sys.argv[1:])
