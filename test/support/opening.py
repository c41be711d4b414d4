"""How long a door takes to open, from outside: a line of JSON for each try that stands on standard input.

Each try: {"source": ADDRESS, "first": [[port, protocol], ...], "last": [port, "tcp"] or {"port": N, "payload": HEX}}.
What comes before the last is sent in time; then the clock runs, the last is sent, and the service is called again and
again until it answers.
"""
import json
import select
import socket
import sys
import time

TARGET, SERVICE = sys.argv[1], int(sys.argv[2])
PATIENCE = 3.0


def send(source, what):
    if isinstance(what, dict):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.bind((source, 0))
            out.sendto(bytes.fromhex(what["payload"]), (TARGET, what["port"]))
        return None
    return call(source, what[0])


def call(source, port):
    out = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    out.setblocking(False)
    out.bind((source, 0))
    out.connect_ex((TARGET, port))
    return out


for line in sys.stdin:
    each = json.loads(line)
    source = each["source"]
    for step in each["first"]:
        knock = send(source, step)
        time.sleep(0.03)
        if knock is not None:
            knock.close()
    begun = time.perf_counter()
    last = send(source, each["last"])
    took = None
    while time.perf_counter() - begun < PATIENCE:
        door = call(source, SERVICE)
        _, open_, _ = select.select([], [door], [], 0.0003)
        is_open = bool(open_) and door.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        door.close()
        if is_open:
            took = (time.perf_counter() - begun) * 1000
            break
    if last is not None:
        last.close()
    print(json.dumps({"took": took}), flush=True)
    time.sleep(0.02)
