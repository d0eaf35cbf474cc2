/*
 * chargen - sends lines of printable characters until the client closes (RFC 864).
 */
#include <handlerd/handler.h>

#define FIRST ' '
#define COUNT 95 /* printable characters of ASCII */
#define WIDTH 72
#define LINE (WIDTH + 2)

HD_HANDLER(.name = "chargen", .version = "1.0.0", .summary = "Sends a pattern of characters",
	   .flags = HD_STREAM | HD_THREADS | HD_FIBERS);

int
handle(struct hd_request *req)
{
	char lines[COUNT * LINE];
	int r;

	/* the pattern repeats after as many lines as there are characters */
	for (unsigned line = 0; line < COUNT; line++) {
		for (unsigned i = 0; i < WIDTH; i++)
			lines[line * LINE + i] = (char)(FIRST + (line + i) % COUNT);
		lines[line * LINE + WIDTH] = '\r';
		lines[line * LINE + WIDTH + 1] = '\n';
	}
	do {
		r = hd_sendall(req, lines, sizeof(lines));
	} while (r == 0 && !hd_draining(req));
	return r;
}
