"""
Sends single packets to ports of a host, each made by hand, and prints what comes back, byte for byte.

  probe.py INTERFACE FROM-MAC TO-MAC FROM TO WAIT-MS PROBE…     a PROBE is NAME:PORT, with a NAME of FLAGS, or udp

WAIT-MS is how long an answer is waited for; for a second one it is a tenth of that.

The same source port, sequence number and everything else for each, so that two answers differ only where the host
treats two ports differently. One line of JSON: for each probe the IP packets that came back, in hexadecimal, with the
probed port (and what is summed over it) as zeros.
"""
import ipaddress
import json
import select
import socket
import struct
import sys
import time

FLAGS = {"syn": 0x02, "ack": 0x10, "fin": 0x01, "null": 0x00, "xmas": 0x29, "maimon": 0x11, "synack": 0x12}
SOURCE_PORT = 45678
SEQUENCE, ACKNOWLEDGED = 0x01020304, 0x0A0B0C0D


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def segment(name, port, source, target):
    protocol = 17 if name == "udp" else 6
    if protocol == 17:
        payload = b"hello"
        head = struct.pack("!HHHH", SOURCE_PORT, port, 8 + len(payload), 0) + payload
        at = 6
    else:
        acknowledged = ACKNOWLEDGED if FLAGS[name] & 0x10 else 0
        head = struct.pack("!HHIIBBHHH", SOURCE_PORT, port, SEQUENCE, acknowledged, 0x50, FLAGS[name], 1024, 0, 0)
        at = 16
    pseudo = source.packed + target.packed
    pseudo += struct.pack("!BBH", 0, protocol, len(head)) if source.version == 4 else struct.pack("!IHBB", len(head), 0, 0, protocol)
    return protocol, head[:at] + struct.pack("!H", checksum(pseudo + head)) + head[at + 2 :]


def packet(name, port, source, target):
    protocol, body = segment(name, port, source, target)
    if source.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(body), protocol, 61) + source.packed + target.packed + body
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 4321, 0, 61, protocol, 0) + source.packed + target.packed
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def masked(answer, version):
    """The answer without what must differ between two ports: the port, and the sums over it."""
    data = bytearray(answer)
    start = 20 if version == 4 else 40
    if version == 4:
        data[10:12] = b"\0\0"
    protocol = data[9] if version == 4 else data[6]
    if protocol == 6:
        data[start : start + 2] = b"\0\0"
        data[start + 16 : start + 18] = b"\0\0"
    elif protocol in (1, 58):
        data[start + 2 : start + 4] = b"\0\0"
        inner = start + 8 + start
        data[inner + 2 : inner + 4] = b"\0\0"
        data[inner + 6 : inner + 8] = b"\0\0"
    return bytes(data).hex()


def main():
    interface, own, other, source, target, wait = sys.argv[1:7]
    source, target = ipaddress.ip_address(source), ipaddress.ip_address(target)
    kind = 0x0800 if source.version == 4 else 0x86DD
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(kind))
    wire.bind((interface, kind))
    ethernet = bytes.fromhex(other.replace(":", "")) + bytes.fromhex(own.replace(":", "")) + struct.pack("!H", kind)
    result = []
    for probe in sys.argv[7:]:
        name, port = probe.split(":")
        wire.send(ethernet + packet(name, int(port), source, target))
        answers = []
        end = time.monotonic() + int(wait) / 1000
        while (left := end - time.monotonic()) > 0:
            if not select.select([wire], [], [], left)[0]:
                break
            frame, (_, _, direction, _, _) = wire.recvfrom(65535)
            data = frame[14:]
            to = data[16:20] if source.version == 4 else data[24:40]
            # 4 is PACKET_OUTGOING: what this end sent itself.
            if direction != 4 and to == source.packed:
                if source.version == 6 and data[6] == 58 and data[40] > 4:
                    continue
                answers.append(masked(data, source.version))
                end = min(end, time.monotonic() + int(wait) / 10_000)
        result.append(answers)
    print(json.dumps(result))


main()
