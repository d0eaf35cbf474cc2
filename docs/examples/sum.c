/*
 * sum - adds up the numbers a client sends, one a line. What belongs to one connection is made in
 * setup, hangs on the request, and is settled in finish.
 */
#include <errno.h>
#include <handlerd/handler.h>
#include <stdlib.h>

struct account {
	long sum;
	unsigned lines;
};

HD_HANDLER(.name = "sum", .version = "1.0.0", .summary = "Adds up numbers",
	   .flags = HD_STREAM | HD_THREADS | HD_FIBERS);

int
setup(struct hd_request *req)
{
	struct account *account = hd_alloc(req, sizeof(*account)); /* zeroed, freed by itself */

	if (account == NULL)
		return -ENOMEM; /* the connection is closed; neither handle nor finish runs */
	hd_set_data(req, account);
	return 0;
}

int
handle(struct hd_request *req)
{
	struct account *account = hd_data(req);
	char line[64];
	ssize_t n;

	hd_set_idle(req, 1);
	while ((n = hd_readline(req, line, sizeof(line))) > 0) {
		int r;

		account->sum += strtol(line, NULL, 10);
		account->lines++;
		r = hd_printf(req, "%ld\n", account->sum);
		if (r < 0)
			return r;
	}
	return (int)n;
}

/* Runs after handle, whatever handle returned. */
void
finish(struct hd_request *req)
{
	const struct account *account = hd_data(req);

	hd_log(req, HD_LOG_INFO, "%u numbers, sum %ld", account->lines, account->sum);
}
