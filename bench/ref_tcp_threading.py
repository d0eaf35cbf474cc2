#!/usr/bin/env python3
"""The Python program for orientation: socketserver, a thread for each connection."""

import socketserver
import sys


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(16384):
            self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 4096
    allow_reuse_address = True


if len(sys.argv) != 2:
    sys.exit(f"usage: {sys.argv[0]} PORT")
with Server(("127.0.0.1", int(sys.argv[1])), Echo) as server:
    print("listening on %s:%d" % server.server_address, flush=True)
    server.serve_forever()
