"""The handler chat: rooms, members that read slowly or not at all, limits, the end."""
import re
import socket
import subprocess

import pytest

import modes
import procfs
from harness import IS_SANITIZED, SLOW, config, listener

MODES = ["threading", "fibers"]
mode = modes.fixture(MODES)

HELP = 6  # lines


class Member:
    """A client that has a name and reads whole lines."""

    def __init__(self, client, name=None):
        self.client = client
        self._rest = b""
        if name is not None:
            assert self.line().startswith("* welcome")
            self.say(name)
            assert self.line() == f"* you are {name}; /help lists what you can do"
            assert re.fullmatch(r"\* you are in \S+", self.line())

    def say(self, *lines):
        self.client.send("".join(line + "\n" for line in lines))
        return self

    def _more(self):
        piece = self.client.some()
        self._rest += piece
        return piece

    def line(self):
        """The next one; None at the end."""
        while b"\n" not in self._rest:
            if not self._more():
                return None
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def lines(self, count):
        return [self.line() for _ in range(count)]

    def ask(self, text):
        return self.say(text).line()

    def rest(self):
        """All whole lines up to the end."""
        while self._more():
            pass
        *lines, self._rest = self._rest.decode().split("\n")
        return lines

    def has_heard_nothing(self):
        """Since what was said before it must have arrived when the answer does."""
        answer = self.ask("/nick *")
        assert answer.startswith("* a name has "), answer
        return True


def chat(mode, name="chat", **options):
    keys = {}
    for key in ("socket", "protocol", "environment", "max_connections"):
        if key in options:
            keys[key] = options.pop(key)
    return listener(name, "chat", mode, options={"announce": False, **options}, **keys)


@pytest.fixture
def serve(start, mode):
    """Starts a chat; the daemon, and what makes members of it."""

    def one(**options):
        daemon = start(chat(mode, **options))

        def member(name=None, **keys):
            return Member(daemon.connect(**keys), name)

        return daemon, member

    return one


# Talking

def test_what_one_says_all_others_read(serve):
    _, member = serve()
    ann, bob, carl = [member(name) for name in ("ann", "bob", "carl")]
    ann.say("hello", "", "how are you?")
    for other in (bob, carl):
        assert other.lines(2) == ["<ann> hello", "<ann> how are you?"]
    assert ann.has_heard_nothing()


def test_an_empty_first_line_takes_a_name_that_nobody_else_may_have(serve):
    _, member = serve()
    ann, other = member("ann"), member()
    own = re.fullmatch(r"\* welcome; your name\? \(an empty line for (guest\d+)\)", other.line())[1]
    assert ann.ask(f"/nick {own}") == f"* somebody else is {own}"
    assert other.ask("") == f"* you are {own}; /help lists what you can do"
    assert other.line() == "* you are in lobby"
    assert other.ask("/nick bob") == "* you are bob"
    assert other.ask(f"/nick {own}") == f"* you are {own}"


def test_guests_are_numbered_from_1_in_the_worker_of_any_listener(start, mode):
    daemon = start(listener("echo"), chat(mode))
    for number in (1, 2):
        line = Member(daemon.connect("chat")).line()
        assert line == f"* welcome; your name? (an empty line for guest{number})"


@pytest.mark.parametrize("name", ["two words", "/slash", "*star", "<x>", "x" * 32, "ä" * 16])
def test_a_name_that_cannot_be_one_is_refused_and_asked_for_again(serve, name):
    _, member = serve()
    ann = member()
    ann.line()
    assert ann.ask(name).startswith("* a name has 31 bytes at most")
    assert ann.ask("ä" * 15) == "* you are " + "ä" * 15 + "; /help lists what you can do"


def test_a_name_belongs_to_one_member_until_it_is_given_up(serve):
    daemon, member = serve()
    ann, bob = member("ann"), member()
    bob.line()
    assert bob.ask("ann") == "* somebody else is ann"
    assert bob.ask("bob").startswith("* you are bob")
    assert bob.line() == "* you are in lobby"
    assert bob.ask("/nick ann") == "* somebody else is ann"
    assert bob.ask("/nick bob") == "* you are bob"
    assert ann.ask("/nick eve") == "* you are eve"
    assert bob.ask("/nick ann") == "* you are ann"
    bob.client.reset()
    daemon.until(lambda state: state["chat"].open == 1, "bob has gone")
    assert ann.ask("/nick ann") == "* you are ann"


def test_rooms_are_kept_apart_and_go_with_the_last_member(serve):
    _, member = serve()
    ann, bob, eve = [member(name) for name in ("ann", "bob", "eve")]
    assert ann.ask("/join tea") == bob.ask("/join tea") == "* you are in tea"
    ann.say("psst")
    assert bob.line() == "<ann> psst"
    eve.say("anybody?")
    assert eve.ask("/rooms") in ("* rooms: tea (2) lobby (1)", "* rooms: lobby (1) tea (2)")
    assert ann.has_heard_nothing() and bob.has_heard_nothing() and eve.has_heard_nothing()
    assert sorted(ann.ask("/who").split()[2:]) == ["ann", "bob"]
    assert eve.ask("/who") == "* lobby: eve"
    assert ann.ask("/join tea") == "* you are there already"
    assert ann.ask("/join lobby") == bob.ask("/join lobby") == "* you are in lobby"
    assert ann.ask("/rooms") == "* rooms: lobby (3)"


def test_commands_are_explained_and_others_refused(serve):
    _, member = serve()
    ann = member("ann")
    lines = ann.say("/help").lines(HELP)
    assert [line.split()[1] for line in lines] == ["/join", "/nick", "/who", "/rooms", "/quit",
                                                   "/help"]
    assert ann.ask("/dance now") == "* /dance is no command; /help lists those that are"
    assert ann.ask("/join") == ann.ask("/join *") == \
        "* a room's name has 31 bytes at most, no space, and none of / * < in front"
    assert ann.say("/quit", "not heard").rest() == ["* good bye"]


def test_who_comes_and_goes_is_announced(serve):
    _, member = serve(announce=True)
    ann, bob = member("ann"), member("bob")
    assert ann.line() == "* bob has come"
    bob.say("/join tea")
    assert ann.line() == "* bob has gone to another room"
    bob.say("/join lobby", "/nick robert")
    assert ann.lines(2) == ["* bob has come", "* bob is now robert"]
    bob.client.close()
    assert ann.line() == "* robert has left"


def test_text_passes_as_utf_8_and_without_what_moves_a_terminal(serve):
    _, member = serve()
    ann, bob = member("ann"), member("bob")
    for said, heard in [
            ("größe 漢字 𝄞 👩‍🚀", "größe 漢字 𝄞 👩‍🚀"),
            (b"\x1b[31mred\x07\x00\x7f\r", "[31mred"),
            (b"a\tb", "a b"),
            (b"\xff\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80x", "??????????x"),
            (b"cut \xe6\xbc", "cut ??"),
            ("c1\u0085\u009b, lines\u2028\u2029, turned\u202e\u2066\u200f",
             "c1, lines, turned")]:
        ann.client.send(said.encode() if isinstance(said, str) else said).send(b"\n")
        assert bob.line() == f"<ann> {heard}"
    ann.client.send(b"\x07\n")
    assert ann.has_heard_nothing() and bob.has_heard_nothing()


def test_half_a_line_keeps_nobody_from_reading(serve):
    _, member = serve()
    ann, bob = member("ann"), member("bob")
    ann.client.send("hel")
    bob.say("one", "two")
    assert ann.lines(2) == ["<bob> one", "<bob> two"]
    ann.client.send("lo\n")
    assert bob.line() == "<ann> hello"


def test_the_last_line_may_lack_its_end_and_answers_still_arrive(serve):
    _, member = serve()
    bob = member("bob")
    ann = member()
    ann.client.send("ann\n/rooms\nbye").half_close()
    assert ann.rest()[-1] == "* rooms: lobby (2)"
    assert bob.line() == "<ann> bye"


def test_it_can_be_used_with_nc(serve):
    daemon, member = serve()
    ann = member("ann")
    host, port = daemon.address()
    result = subprocess.run(["nc", "-N", host, str(port)], input="bob\nhello\n/who\n",
                            capture_output=True, text=True, timeout=10 * SLOW, check=True)
    assert result.stdout.split("\n")[1:-2] == [
        "* you are bob; /help lists what you can do", "* you are in lobby"]
    assert sorted(result.stdout.split("\n")[-2].split()[2:]) == ["ann", "bob"]
    assert ann.line() == "<bob> hello"


def test_it_serves_unix_sockets(start, mode):
    daemon = start(chat(mode, protocol="unix"))
    ann, bob = [Member(daemon.connect(), name) for name in ("ann", "bob")]
    ann.say("hello")
    assert bob.line() == "<ann> hello"


# Many

def test_two_hundred_members_read_the_lines_of_each_in_their_order(serve):
    daemon, member = serve()
    members = [member(f"member{number}") for number in range(200)]
    speakers, said = members[:4], 25
    for number in range(said):
        for index, speaker in enumerate(speakers):
            speaker.say(f"line {number} of {index}")
    for reader in members:
        own = [index for index, speaker in enumerate(speakers) if speaker is reader]
        heard = {index: [] for index in range(len(speakers)) if index not in own}
        for _ in range(said * len(heard)):
            speaker, number, index = re.fullmatch(r"<member(\d+)> line (\d+) of (\d+)",
                                                  reader.line()).groups()
            assert speaker == index
            heard[int(index)].append(int(number))
        assert all(numbers == list(range(said)) for numbers in heard.values())
    listed = members[0].ask("/who")
    assert re.fullmatch(r"\* lobby:( member\d+)+ and \d+ more", listed) and len(listed) <= 1026
    shown = len(listed.split()) - 5
    assert shown + int(listed.split()[-2]) == 200
    daemon.close_clients()
    daemon.until(lambda state: state["chat"].open == 0, "all have gone")


def test_members_that_come_and_go_all_the_time_leave_nothing(serve):
    daemon, member = serve(announce=True)
    member("watch").client.close()
    daemon.until(lambda state: state["chat"].open == 0, "at rest")
    before = daemon.rest()[0]
    for turn in range(5):
        # a name is free again when its member has been seen to go
        crowd = [member(f"m{turn}{number}") for number in range(10)]
        for one in crowd:
            one.say("/join tea", "hello", f"/nick n{turn}{one.client.sock.fileno()}")
        for index, one in enumerate(crowd):
            if (turn + index) % 2:
                one.client.reset()
            else:
                one.client.close()
    daemon.until(lambda state: state["chat"].open == 0, "all have gone")
    assert daemon.rest()[0] == before
    assert daemon.status()["chat"].failed == 0
    assert member("last").ask("/rooms") == "* rooms: lobby (1)"


# Slow readers

SMALL = {"send_buffer": "4KiB"}


def flood(speaker, others, count, text):
    """Says many lines, at the pace of those who read them."""
    for number in range(count):
        speaker.say(f"{number} {text}")
        for other in others:
            assert other.line() == f"<{speaker.name}> {number} {text}"


def named(member, name, **keys):
    one = member(name, **keys)
    one.name = name
    return one


def test_lines_for_a_member_that_does_not_read_are_dropped_and_counted(serve):
    daemon, member = serve(queue="16KiB", socket=SMALL)
    ann, bob = named(member, "ann"), named(member, "bob")
    deaf = named(member, "deaf", receive_buffer=4096)
    flood(ann, [bob], 100, "x" * 400)
    before = procfs.memory_kib(daemon.worker())
    flood(ann, [bob], 1000, "y" * 400)
    assert IS_SANITIZED or procfs.memory_kib(daemon.worker()) - before <= 256
    # it reads again: all up to the gap, then how wide that is, then what comes
    numbers, missed = [], None
    while missed is None:
        line = deaf.line()
        row = re.fullmatch(r"\* you have missed (\d+) lines?: you read too slowly", line)
        if row:
            missed = int(row[1])
        else:
            numbers.append(int(re.fullmatch(r"<ann> (\d+) [xy]+", line)[1]))
    said = list(range(100)) + list(range(1000))
    assert numbers == said[:len(numbers)]
    assert len(numbers) + missed == len(said)
    flood(ann, [bob, deaf], 20, "z")
    assert deaf.has_heard_nothing()


def test_a_member_that_does_not_read_may_still_speak_and_be_reset(serve):
    daemon, member = serve(queue="4KiB", socket=SMALL)
    ann, bob = named(member, "ann"), named(member, "bob")
    deaf = named(member, "deaf", receive_buffer=4096)
    flood(ann, [bob], 100, "x" * 400)
    deaf.say("can you hear me?")
    assert ann.line() == bob.line() == "<deaf> can you hear me?"
    deaf.client.reset()
    daemon.until(lambda state: state["chat"].open == 2, "it has gone")


def test_a_member_that_does_not_read_is_disconnected_where_that_is_wanted(serve):
    daemon, member = serve(queue="16KiB", on_slow="disconnect", socket=SMALL, announce=True)
    ann, bob = named(member, "ann"), named(member, "bob")
    assert ann.line() == "* bob has come"
    deaf = named(member, "deaf", receive_buffer=4096)
    assert ann.line() == bob.line() == "* deaf has come"
    heard = []
    for number in range(1000):
        ann.say(f"{number} " + "x" * 400)
        heard.append(bob.line())
        if heard[-1] == "* deaf has left":
            break
    assert "* deaf has left" in heard
    daemon.log.wait(r"info: .*disconnected: it reads too slowly, more than 'queue' waited for it")
    numbers = [int(line.split()[1]) for line in deaf.rest()]
    assert numbers == list(range(len(numbers)))
    state = daemon.until(lambda state: state["chat"].open == 2 and state["chat"], "it has gone")
    assert state.failed == 0


# Limits

def test_a_line_that_is_too_long_is_refused_and_the_next_one_heard(serve):
    _, member = serve(line="64B")
    ann, bob = member("ann"), member("bob")
    ann.say("x" * 64)
    assert bob.line() == "<ann> " + "x" * 64
    for length in (65, 1024, 5000):
        assert ann.ask("y" * length) == "* that line is too long: it may have 64 bytes"
    ann.say("short")
    assert bob.line() == "<ann> short"
    ann.client.send("z" * 100).half_close()
    assert ann.rest() == ["* that line is too long: it may have 64 bytes"]


def test_there_are_so_many_rooms_and_no_more(serve):
    _, member = serve(rooms=3)
    ann, bob, carl, eve = [member(name) for name in ("ann", "bob", "carl", "eve")]
    assert bob.ask("/join one") == "* you are in one"
    assert carl.ask("/join two") == "* you are in two"
    assert eve.ask("/join three") == "* there are too many rooms; /rooms lists them"
    assert eve.ask("/who").startswith("* lobby:")
    assert eve.ask("/join two") == "* you are in two"
    assert bob.ask("/join lobby") == "* you are in lobby"
    assert eve.ask("/join three") == "* you are in three"
    assert ann.has_heard_nothing()


def test_a_room_has_so_many_members_and_no_more(serve):
    _, member = serve(room_members=2)
    member("ann"), member("bob")
    eve = member()
    eve.line()
    assert eve.say("eve").lines(2) == ["* you are eve; /help lists what you can do",
                                       "* lobby is full"]
    for line in ("hello?", "/who"):
        assert eve.ask(line) == "* you are in no room; /join ROOM takes you into one"
    assert eve.ask("/join other") == "* you are in other"
    assert eve.ask("/join lobby") == "* lobby is full"
    assert eve.ask("/who") == "* other: eve"


@pytest.mark.parametrize("options, words", [
    ({"on_slow": "wait"}, "option 'on_slow' is 'wait'; it must be \"drop\" or \"disconnect\""),
    ({"lobby": "our room"}, "option 'lobby' is 'our room'; a room's name has 1 to 31 bytes"),
    ({"line": "8KiB", "queue": "8KiB"}, "option 'queue' is 8192 bytes, in which no line of"),
])
def test_options_that_make_no_sense_fail_the_start(start, options, words):
    daemon = start(chat("threading", **options), is_awaited=False)
    daemon.expected_exit = 1
    daemon.log.wait(words)
    assert daemon.wait_exit() == 1


def test_under_forking_the_log_tells_once_that_nobody_is_met(start):
    daemon = start(chat("forking"))
    for _ in range(3):
        with daemon.connect() as client:
            assert Member(client, "ann").ask("/who") == "* lobby: ann"
    assert len(daemon.log.find(r"warning: .*every client is alone in a process")) == 1


# The end

def test_all_are_told_when_the_server_stops(start, mode):
    daemon = start(text=config(chat(mode, announce=True), drain_timeout="60s"))
    members = []
    for number in range(10):
        members.append(Member(daemon.connect(), f"m{number}"))
        for other in members[:-1]:
            assert other.line() == f"* m{number} has come"
    daemon.kill(15)
    for one in members:
        assert one.rest() == ["* the server goes; good bye"]
    assert daemon.wait_exit() == 0


def test_a_reload_moves_the_chat_on_and_one_that_does_not_read_holds_it_up_for_two_seconds_at_most(start, mode):
    def text(number):
        return config(chat(mode, socket=SMALL, environment={"N": str(number)}), drain_timeout="60s")

    daemon = start(text=text(0))
    ann, bob = [named(lambda name: Member(daemon.connect(), name), name) for name in ("ann", "bob")]
    deaf = Member(daemon.connect(receive_buffer=4096), "deaf")
    flood(ann, [bob], 300, "x" * 400)
    assert daemon.reload(text(1))
    assert ann.rest() == bob.rest() == ["* the server goes; good bye"]
    assert [worker.state for worker in daemon.listener().workers].count("DRAINING") == 1
    daemon.until(lambda state: len(state["chat"].workers) == 1, "the old worker has ended")
    assert daemon.status()["chat"].failed == 0
    assert Member(daemon.connect(), "ann").ask("/who") == "* lobby: ann"
    deaf.client.close()


def test_a_flood_of_one_leaves_others_their_turn(serve):
    """Who sends without a pause is heard at the pace of a few lines a millisecond."""
    _, member = serve(queue="1MiB")
    ann, bob, eve = [member(name) for name in ("ann", "bob", "eve")]
    eve.client.sock.setblocking(False)
    data = b"spam\n" * 100000
    sent = 0
    try:
        while sent < len(data):
            sent += eve.client.sock.send(data[sent:])
    except BlockingIOError:
        pass
    ann.say("hello")
    while True:
        line = bob.line()
        assert line in ("<eve> spam", "<ann> hello"), line
        if line == "<ann> hello":
            break
    eve.client.sock.setblocking(True)
    eve.client.sock.shutdown(socket.SHUT_RD)
    eve.client.reset()
