"""Every call that reads, writes or waits, in every mode. A client commands the handler: a line is a
list of operations, what they return comes back as one line."""
import socket
import time

import pytest

from harness import SLOW, listener

EINVAL, EBADF, EMSGSIZE, ENODATA, ETIMEDOUT, EOPNOTSUPP, EPIPE = -22, -9, -90, -61, -110, -95, -32
POLLIN, POLLOUT = 1, 4


@pytest.fixture
def client(start, mode):
    daemon = start(listener("s", "sys_stream", mode))
    with daemon.connect() as one:
        yield one


def hexed(text):
    data = text if isinstance(text, bytes) else text.encode()
    return f"{len(data)}:{data.hex()}" if data else "0"


def ready(client, operations):
    """The handler has read the whole line and waits in the next operation for what comes."""
    client.send(f"printf go;flush;{operations}\n")
    assert client.exactly(2) == b"go"
    return client


# Input

def test_recv_takes_what_there_is_and_no_more_than_asked_for(client):
    ready(client, "recv 10;recv 2;recv 10").send("abc")
    client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert client.is_silent(0.05)
    client.send("defgh")
    assert client.line() == " ".join([hexed("abc"), hexed("de"), hexed("fgh")])


def test_recv_of_nothing_is_0_and_does_not_wait(client):
    assert client.ask("recv 0") == "0"


def test_recv_gives_first_what_a_line_has_read_ahead(client):
    client.send("recv 3;recv 100;recv 2\nabcdef")
    assert client.is_silent(0.05)
    client.send("gh")
    assert client.line() == " ".join([hexed("abc"), hexed("def"), hexed("gh")])


def test_the_end_is_0_again_and_again(client):
    ready(client, "recv 5;recv 5;recvall 5;readline 5;fread 5").half_close()
    assert client.line() == "0 0 0 0 0"


def test_recvfrom_tells_the_clients_address(client):
    assert ready(client, "recvfrom 9").send("abc").line() == hexed("abc") + " same"


def test_recvall_waits_for_all(client):
    ready(client, "recvall 6").send("abc")
    assert client.is_silent(0.05)
    assert client.send("defX").line() == hexed("abcdef")


def test_recvall_gives_fewer_at_the_end(client):
    assert ready(client, "recvall 100").send("abc").half_close().line() == hexed("abc")


def test_recvall_keeps_what_arrived_when_time_is_over(client):
    ready(client, "timeout 100;recvall 10;timeout -1;recvall 3;recv 9").send("abcde")
    assert client.line() == f"{ETIMEDOUT} {hexed('abc')} {hexed('de')}"


def test_recvall_takes_read_ahead_and_new_bytes_together(client):
    client.send("recvall 8\nabc")
    assert client.is_silent(0.05)
    assert client.send("defgh").line() == hexed("abcdefgh")


def test_readline_gives_lines_with_their_end(client):
    client.send("readline 100;readline 100;readline 100\none\n\nthr")
    assert client.is_silent(0.05)
    assert client.send("ee\n").line() == f"{hexed('one' + chr(10))} {hexed(chr(10))} " + \
        hexed("three\n")


def test_a_line_longer_than_the_buffer_is_not_consumed(client):
    client.send("readline 5;readline 6;readline 9;recv 4;readline 9\nabcdefgh\n")
    assert client.line() == " ".join([str(EMSGSIZE)] * 3 + [hexed("abcd"), hexed("efgh\n")])


def test_a_line_that_just_fits_is_taken(client):
    # size counts the NUL: 4 bytes and the '\n' need 6
    client.send("readline 5;readline 6\nabcd\n")
    assert client.line() == f"{EMSGSIZE} {hexed('abcd' + chr(10))}"


def test_the_last_line_may_lack_its_end(client):
    assert ready(client, "readline 50;readline 50").send("abc").half_close().line() == \
        hexed("abc") + " 0"


def test_a_line_may_hold_nul_bytes(client):
    client.send(b"readline 50\na\0b\0\n")
    assert client.line() == hexed(b"a\0b\0\n")


def test_readline_with_no_room_is_refused(client):
    assert client.ask("readline 1;readline 0") == f"{EINVAL} {EINVAL}"


def test_readline_consumes_nothing_when_time_is_over(client):
    ready(client, "timeout 100;readline 50;timeout -1;readline 50").send("abc")
    assert client.is_silent(0.2 * SLOW)
    assert client.send("def\n").line() == f"{ETIMEDOUT} {hexed('abcdef' + chr(10))}"


# stdio

def test_the_r_stream_and_the_calls_share_their_input_in_both_directions(client):
    client.send("fgets 4;recv 2;fgets 50;readline 50;fread 3;recvall 4;fgets 50\n"
                "abcdefghi\nsecond line\n0123456789\n")
    assert client.line() == " ".join(map(hexed, [
        "abc", "de", "fghi\n", "second line\n", "012", "3456", "789\n"]))


def test_a_byte_pushed_back_onto_the_stream_is_read_by_a_call(client):
    client.send("fread 2;ungetc b;recv 2\nabcd")
    assert client.line() == f"{hexed('ab')} 98 {hexed('bc')}"


def test_another_byte_than_was_read_can_be_pushed_back_too(client):
    client.send("fread 2;ungetc Z;recv 9\nabcd")
    assert client.line() == f"{hexed('ab')} 90 {hexed('Zcd')}"
    client.send("fread 2;ungetc Z;fread 3\nabcd")
    assert client.line() == f"{hexed('ab')} 90 {hexed('Zcd')}"


def test_a_stream_closed_by_the_handler_loses_nothing_and_a_new_one_goes_on(client):
    client.send("fgets 3;fclose r;fgets 50;recv 3\nabcdef\nxyz")
    assert client.line() == f"{hexed('ab')} 0 {hexed('cdef' + chr(10))} {hexed('xyz')}"


def test_the_w_stream_closed_by_the_handler_sends_what_it_holds(client):
    client.send("fputs held-;fclose w;fputs again-;sendall end-;recv 0\n")
    assert client.line() == "held-again-end-0 0"


def test_makefile_gives_the_same_stream_again_and_refuses_other_modes(client):
    assert client.ask("makefile r;makefile w;makefile r+;makefile a;makefile rw") == \
        f"same same {EINVAL} {EINVAL} {EINVAL}"


# Output

def test_everything_printed_leaves_in_program_order(client):
    operations = ["printf 1;fputs 2;printf 3;sendall 4;fputs 5;sendfile 0 1;printf 6;fputs 7",
                  "sendallv 89;printf a;sendfile 1 2;fputs b;send c;printf d;fclose w;fputs e"]
    client.send(";".join(operations) + "\n")
    # the results of sendfile (bytes, position), sendallv, sendfile, send, fclose
    assert client.line() == "1234506789a12bcde1 2 0 2 2 1 0"


def test_what_is_printed_is_sent_before_a_wait_for_input(client):
    for operation in ("printf x;recv 1", "fputs x;recv 1", "printf x;readline 5", "fputs x;fgets 5",
                      "printf x;fread 1", "printf x;poll -1;recv 1", "fputs x;sleep 50",
                      "printf x;wait never"):
        client.send(operation + "\n")
        assert client.exactly(1) == b"x", operation
        if "sleep" not in operation and "wait" not in operation:
            client.send("\n")
        client.line()


def test_what_is_printed_is_sent_at_the_end(client):
    client.send("printf last-;fputs words\nquit\n")
    assert client.rest() == b"last-words"


def test_text_longer_than_any_buffer_is_printed_whole(client):
    client.send("printf <;long 100000;printf >\n")
    assert client.exactly(100002) == b"<" + b" " * 99997 + b"end" + b">"
    assert client.line() == "0"


def test_many_small_prints_fill_and_flush_the_buffer(client):
    count = 60
    for _ in range(10):
        client.send(";".join(["printf 0123456789"] * count) + "\n")
    assert client.send("quit\n").rest() == b"0123456789" * 10 * count


def test_sendallv_sends_all_pieces_in_order_empty_ones_too(client):
    text = "".join(chr(97 + i % 26) for i in range(190))
    client.send(f"sendallv {text}\n")
    assert client.exactly(190).decode() == text
    assert client.line() == "0"


def test_sendto_is_for_datagrams(client):
    assert client.ask("sendto x") == str(EOPNOTSUPP)


def test_shutdown_write_flushes_and_ends_the_output_alone(client):
    client.send("printf bye;shutdown;send x;recv 3\n")
    assert client.rest() == b"bye"
    client.send("abc")
    assert client.is_at_end()


def test_output_to_a_client_that_is_gone_is_an_error_and_no_signal(start, mode):
    daemon = start(listener("s", "sys_stream", mode))
    pid = daemon.worker()
    client = daemon.connect()
    client.send("printf go;flush;poll -1;flood 10\n")
    assert client.exactly(2) == b"go"
    client.reset()
    state = daemon.until(lambda state: state["s"].finished == 1 and state["s"], "it ends")
    assert (state.failed, state.crashed) == (0, 0)
    assert daemon.worker() == pid


# sendfile

@pytest.mark.parametrize("argument, data, results", [
    ("0 10", "0123456789", "10 2"), ("3 4", "3456", "4 2"), ("0 end", "0123456789", "10 2"),
    ("7 end", "789", "3 2"), ("10 end", "", "0 2"), ("-1 3", "234", "3 5"),
    ("-1 end", "23456789", "8 10"), ("0 0", "", "0 2"), ("5 50", "56789", f"{ENODATA} 2"),
    ("-2 1", "", f"{EINVAL} 2"), ("20 1", "", f"{ENODATA} 2")])
def test_sendfile_sends_the_asked_part_or_says_that_the_file_ended(client, argument, data, results):
    client.send(f"sendfile {argument}\n")
    assert client.line() == data + results


@pytest.mark.parametrize("argument, data, result", [
    ("end", "pipe-data", 9), ("4", "pipe", 4), ("50", "pipe-data", ENODATA)])
def test_sendfile_takes_a_pipe(client, argument, data, result):
    client.send(f"sendpipe {argument}\n")
    assert client.line() == data + str(result)


# Waiting

def test_timeouts_hold_for_each_wait(client):
    began = time.monotonic()
    assert ready(client, "timeout 150;recv 1;recv 1").line() == f"{ETIMEDOUT} {ETIMEDOUT}"
    assert 0.29 <= time.monotonic() - began < 0.3 + 1 * SLOW


def test_timeout_0_does_not_wait(client):
    began = time.monotonic()
    assert ready(client, "timeout 0;recv 1;readline 9;timeout -1").line() == \
        f"{ETIMEDOUT} {ETIMEDOUT}"
    assert time.monotonic() - began < 0.1 * SLOW
    assert ready(client, "recv 3").send("abc").line() == hexed("abc")


def test_timeout_0_takes_what_is_there(client):
    client.send("timeout 0;recv 3;recv 3;timeout -1\nabc")
    assert client.line() == f"{hexed('abc')} {ETIMEDOUT}"


def test_a_timeout_is_taken_back_and_a_wrong_one_refused(client):
    client.send("timeout 50;timeout -1;timeout -2;recv 1\n")
    assert client.is_silent(0.15)
    assert client.send("x").line() == f"{EINVAL} {hexed('x')}"


@pytest.mark.parametrize("mode", ["threading"])
def test_a_timeout_holds_for_output_too(start, mode):
    daemon = start(listener("s", "sys_stream", mode), top={"log": {"connections": "all"}})
    client = daemon.connect(receive_buffer=4096)
    client.send("timeout 100;flood 50\nquit\n")
    daemon.log.wait("connection ended: timeout;", timeout=5)


def test_a_timeout_does_not_outlive_its_connection(start, mode):
    daemon = start(listener("s", "sys_stream", mode, forking={"connections_per_child": 0,
                                                              "spare_children": 1},
                            threading={"min_threads": 1}))
    with daemon.connect() as first:
        assert first.ask("timeout 50;recv 0") == "0"
    with daemon.connect() as second:
        ready(second, "recv 3")
        assert second.is_silent(0.15)
        assert second.send("abc").line() == hexed("abc")


def test_sleep_lasts_as_long_as_asked(client):
    began = time.monotonic()
    assert client.ask("sleep 120") == "0"
    assert 0.12 <= time.monotonic() - began < 0.12 + 0.5 * SLOW
    assert client.ask("sleep 0") == "0"


def test_sleep_is_not_ended_by_input(client):
    began = time.monotonic()
    ready(client, "sleep 150;recv 1").send("x")
    assert client.line() == f"0 {hexed('x')}"
    assert time.monotonic() - began >= 0.15


def test_wait_tells_events_of_a_descriptor_of_the_handlers_own(client):
    assert client.ask("wait ready;wait never;wait closed") == f"{POLLIN} {ETIMEDOUT} {EBADF}"


def test_poll_sees_the_client_and_other_descriptors(client):
    assert client.ask("poll 0") == "0 0 0"
    ready(client, "poll -1;recv 3;poll 50").send("abc")
    assert client.line() == f"1 {POLLIN} 0 {hexed('abc')} 0 0 0"


def test_poll_counts_buffered_input_as_input(client):
    client.send("poll -1;recv 2;poll -1;recv 9;poll 0\nabcd")
    assert client.line() == f"1 1 0 {hexed('ab')} 1 1 0 {hexed('cd')} 0 0 0"
    client.send("fgets 3;poll -1;recv 9;poll 0\nabcd")
    assert client.line() == f"{hexed('ab')} 1 1 0 {hexed('cd')} 0 0 0"


def test_poll_has_a_bound_on_its_rows(client):
    assert client.ask("poll_many 1024;poll_many 1025;poll_many 1") == f"1 {EINVAL} 1"


def test_poll_sees_the_end(client):
    ready(client, "poll -1;recv 1").half_close()
    words = client.line().split()
    assert words[0] == "1" and int(words[1]) & POLLIN and words[3] == "0"


def test_fd_is_the_connection(client):
    assert client.ask("fd") == str(int(socket.SOCK_STREAM))


def test_unread_results_of_one_session_never_reach_the_next(start, mode):
    daemon = start(listener("s", "sys_stream", mode, forking={"connections_per_child": 0,
                                                              "spare_children": 1},
                            threading={"min_threads": 1}))
    for _ in range(5):
        with daemon.connect() as client:
            client.send("fgets 3;printf secret;fputs secret\nabcdefgh")
            client.reset()
        with daemon.connect() as client:
            assert ready(client, "recv 9").send("own").line() == hexed("own")
