"""Knocks at a door from addresses of its own, and says how long the door took to open: a line of JSON for each line on standard input.

Each line: {"source": ADDRESS, "target": ADDRESS, "knocks": [[protocol, port], ...], "gap": milliseconds, "service": PORT}.
Each packet leaves from a port of its own. The clock runs from the last knock on; the service is called again and again
until it answers, which is {"took": milliseconds}, or null where it never did.
"""
import json
import select
import socket
import sys
import time

PATIENCE = 3.0
BETWEEN = 0.0004


def call(order, port):
    family = socket.AF_INET6 if ":" in order["source"] else socket.AF_INET
    out = socket.socket(family, socket.SOCK_STREAM)
    out.setblocking(False)
    out.bind((order["source"], 0))
    out.connect_ex((order["target"], port))
    return out


def knock(order, protocol, port):
    if protocol == "tcp":
        return call(order, port)
    family = socket.AF_INET6 if ":" in order["source"] else socket.AF_INET
    out = socket.socket(family, socket.SOCK_DGRAM)
    out.bind((order["source"], 0))
    out.sendto(b"", (order["target"], port))
    return out


def wait_until(moment):
    while (left := moment - time.perf_counter()) > 0:
        if left > 0.002:
            time.sleep(left - 0.001)


for line in sys.stdin:
    order = json.loads(line)
    begun = time.perf_counter()
    kept = []
    for index, (protocol, port) in enumerate(order["knocks"]):
        wait_until(begun + index * order["gap"] / 1000)
        last = time.perf_counter()
        kept.append(knock(order, protocol, port))
    took = None
    tried = 0
    while time.perf_counter() - last < PATIENCE:
        door = call(order, order["service"])
        tried += 1
        _, writable, _ = select.select([], [door], [], BETWEEN)
        is_open = bool(writable) and door.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        door.close()
        if is_open:
            took = (time.perf_counter() - last) * 1000
            break
        # Whoever waits long need not call so often.
        if tried > 200:
            time.sleep(0.02)
    for each in kept:
        each.close()
    print(json.dumps({"took": took}), flush=True)
