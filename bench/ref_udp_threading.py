#!/usr/bin/env python3
"""The Python program that datagrams are measured against: socketserver, a thread for each one."""

import socketserver
import sys


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        sock.sendto(data, self.client_address)


if len(sys.argv) != 2:
    sys.exit(f"usage: {sys.argv[0]} PORT")
with socketserver.ThreadingUDPServer(("127.0.0.1", int(sys.argv[1])), Echo) as server:
    print("listening on udp:%s:%d" % server.server_address, flush=True)
    server.serve_forever()
