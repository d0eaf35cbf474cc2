/*
 * chargen - sends lines of printable characters (RFC 864): on a stream until the client closes, on
 * datagrams up to 512 of them for each that comes.
 */
#include <handlerd/handler.h>

#define FIRST ' '
#define COUNT 95 /* printable characters of ASCII */
#define WIDTH 72
#define LINE (WIDTH + 2)

#define LONGEST_REPLY 512
#define HEADER 28 /* of IPv4 and UDP */
#define GROWTH 3

HD_HANDLER(.name = "chargen", .version = "1.0.0", .summary = "Sends a pattern of characters",
	   .flags = HD_STREAM | HD_DGRAM | HD_THREADS | HD_FIBERS);

/* The pattern repeats after as many lines as there are characters. */
static void
make_lines(char lines[COUNT * LINE])
{
	for (unsigned line = 0; line < COUNT; line++) {
		for (unsigned i = 0; i < WIDTH; i++)
			lines[line * LINE + i] = (char)(FIRST + (line + i) % COUNT);
		lines[line * LINE + WIDTH] = '\r';
		lines[line * LINE + WIDTH + 1] = '\n';
	}
}

/* The question's length, up to where more makes no difference, or a negative errno. */
static ssize_t
read_question(struct hd_request *req)
{
	char buf[LONGEST_REPLY];
	size_t length = 0;
	ssize_t n = 0;

	while (length < sizeof(buf) && (n = hd_recv(req, buf, sizeof(buf))) > 0)
		length += (size_t)n;
	return n < 0 ? n : (ssize_t)length;
}

/*
 * Anybody can write a victim's address on a question. With its headers, the answer is therefore
 * never more than three times as long.
 */
static int
answer_datagram(struct hd_request *req, const char *lines)
{
	ssize_t asked = read_question(req);
	size_t length;

	if (asked < 0)
		return (int)asked;
	length = GROWTH * ((size_t)asked + HEADER) - HEADER;
	return hd_sendall(req, lines, length < LONGEST_REPLY ? length : LONGEST_REPLY);
}

int
handle(struct hd_request *req)
{
	char lines[COUNT * LINE];
	int r;

	make_lines(lines);
	if (hd_is_datagram(req))
		return answer_datagram(req, lines);
	do {
		r = hd_sendall(req, lines, sizeof(lines));
	} while (r == 0 && !hd_draining(req));
	return r;
}
