/*
 * store - a small protocol of lines: SET WORD, GET, QUIT. With a timeout for slow clients, and with
 * an answer to lines that are too long.
 */
#include <errno.h>
#include <handlerd/handler.h>
#include <stdio.h>
#include <string.h>

#define LINE 128

static const struct hd_option options[] = {
	HD_OPTION_DURATION("patience", 60000, -1, 3600000, "wait so long for a command"),
	HD_OPTION_END,
};

HD_HANDLER(.name = "store", .version = "1.0.0", .summary = "Keeps one word for each connection",
	   .flags = HD_STREAM | HD_THREADS | HD_FIBERS, .options = options);

/* Answers one command. Returns 1 to go on, 0 to end. */
static int
answer(struct hd_request *req, const char *line, char *word)
{
	int r = 0;

	if (sscanf(line, "SET %127s", word) == 1)
		r = hd_printf(req, "OK\n");
	else if (strcmp(line, "GET") == 0)
		r = hd_printf(req, "%s\n", word[0] != '\0' ? word : "-");
	else if (strcmp(line, "QUIT") == 0)
		return 0;
	else
		r = hd_printf(req, "ERROR commands are SET WORD, GET and QUIT\n");
	return r < 0 ? r : 1;
}

int
handle(struct hd_request *req)
{
	const struct hd_server *server = hd_request_server(req);
	char line[LINE], word[LINE] = "";
	ssize_t n;
	int r = hd_set_timeout(req, (int)hd_option_ms(server, "patience"));

	hd_set_idle(req, 1);
	while (r >= 0 && (n = hd_readline(req, line, sizeof(line))) != 0) {
		if (n == -ETIMEDOUT)
			return hd_printf(req, "ERROR too slow\n");
		if (n == -EMSGSIZE)
			return hd_printf(req, "ERROR line too long\n");
		if (n < 0)
			return (int)n;
		line[strcspn(line, "\r\n")] = '\0';
		r = answer(req, line, word);
		if (r == 0)
			return hd_printf(req, "BYE\n");
	}
	return r < 0 ? r : 0;
}
