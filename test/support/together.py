"""Sends packets at a moment that is said: a JSON line {at, gap, sends} is answered with when the first and the last went.

at: nanoseconds since 1970; gap: milliseconds between two packets; sends: [protocol, host, port, hex] each."""
import json
import socket
import sys
import time

for line in sys.stdin:
    order = json.loads(line)
    times = []
    at = order["at"]
    for protocol, host, port, payload in order["sends"]:
        while time.time_ns() < at:
            if at - time.time_ns() > 2_000_000:
                time.sleep(0.001)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        with socket.socket(family, kind) as sock:
            sock.setblocking(False)
            times.append(time.time_ns())
            # A SYN goes out at once; nobody waits for its answer.
            sock.connect_ex((host, port))
            if protocol == "udp":
                sock.send(bytes.fromhex(payload))
        at += int(order["gap"] * 1_000_000)
    print(json.dumps({"first": times[0], "last": times[-1]}), flush=True)
