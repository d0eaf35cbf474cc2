"""Clients at a steady rate, as a program of its own: each connects, sends a line, says that it is done, and reads
until the end. Whatever is not exactly its line is counted under what went wrong.

    load.py PORT RATE        RATE connections a second to 127.0.0.1

It is told on standard input what to do, and answers on standard output, one JSON object a line:

    more N      says so when N more connections than now have had their answer
    stop        starts no more, waits for those that are open, prints the counts and ends

A line of counts has `started`, `answered`, `refused`, `reset`, `empty` (the end came before a byte), `wrong`
(another answer, or a part of it), `timed_out`, `slowest_ms`, and `lost`: for each one that was not answered
what happened to it and when, on the monotonic clock, it was started.
"""
import asyncio
import json
import sys
import time

# longer than any restart that the tests make
PATIENCE_S = 20
ENDS = ("answered", "refused", "reset", "empty", "wrong", "timed_out")


class Load:
    def __init__(self, port, rate):
        self._port, self._pause_s = port, 1 / rate
        self._counts = dict.fromkeys(ENDS, 0)
        self._started = 0
        self._slowest_s = 0.0
        self._lost = []
        self._open = set()
        self._wanted = []  # counts of answers that somebody waits for

    async def _exchange(self, line):
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(line)
            writer.write_eof()
            return await reader.read()
        finally:
            writer.close()

    async def _client(self, number):
        line, began = b"line %d\n" % number, time.monotonic()
        try:
            answer = await asyncio.wait_for(self._exchange(line), PATIENCE_S)
            end = "answered" if answer == line else "wrong" if answer else "empty"
        except ConnectionRefusedError:
            end = "refused"
        except (ConnectionResetError, BrokenPipeError):
            end = "reset"
        except asyncio.TimeoutError:
            end = "timed_out"
        self._counts[end] += 1
        if end == "answered":
            self._slowest_s = max(self._slowest_s, time.monotonic() - began)
            self._tell()
        else:
            self._lost.append({"end": end, "started": began})

    def _tell(self):
        while self._wanted and self._counts["answered"] >= self._wanted[0]:
            print(json.dumps({"answered": self._wanted.pop(0)}), flush=True)

    def _start_client(self):
        self._started += 1
        task = asyncio.ensure_future(self._client(self._started))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def run(self):
        commands = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
        command = asyncio.ensure_future(commands.readline())
        due = time.monotonic()
        while True:
            self._start_client()
            due += self._pause_s
            done, _ = await asyncio.wait({command}, timeout=max(0, due - time.monotonic()))
            if not done:
                continue
            verb, *number = command.result().decode().split() or ["stop"]
            if verb == "stop":
                break
            self._wanted.append(self._counts["answered"] + int(number[0]))
            command = asyncio.ensure_future(commands.readline())
        if self._open:
            await asyncio.wait(self._open)
        print(json.dumps({"started": self._started, **self._counts, "lost": self._lost,
                          "slowest_ms": round(self._slowest_s * 1000, 1)}), flush=True)


if __name__ == "__main__":
    asyncio.run(Load(int(sys.argv[1]), float(sys.argv[2])).run())
