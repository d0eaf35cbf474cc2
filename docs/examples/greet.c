/*
 * greet - one option of each type.
 */
#include <errno.h>
#include <handlerd/handler.h>

static const struct hd_option options[] = {
	HD_OPTION_STRING("greeting", "hello", "how a client is greeted"),
	HD_OPTION_INT("repeat", 1, 1, 100, "how often"),
	HD_OPTION_BOOL("shout", 0, "add an exclamation mark"),
	HD_OPTION_DURATION("pause", 0, 0, 60000, "between two greetings"),
	HD_OPTION_SIZE("longest", 1024, 16, 65536, "the longest name that is read"),
	HD_OPTION_PATH("motd", NULL, "a file to mention; unset: none"),
	HD_OPTION_LIST("friends", "who is mentioned, too"),
	HD_OPTION_END,
};

HD_HANDLER(.name = "greet", .version = "1.0.0", .summary = "Greets as its options say",
	   .flags = HD_STREAM | HD_THREADS | HD_FIBERS, .options = options);

int
handle(struct hd_request *req)
{
	const struct hd_server *server = hd_request_server(req);
	const char *motd = hd_option_string(server, "motd");
	size_t room = (size_t)hd_option_size(server, "longest");
	char *name = hd_alloc(req, room);
	ssize_t n;
	int r = 0;

	if (name == NULL)
		return -ENOMEM;
	n = hd_readline(req, name, room);
	if (n <= 0)
		return (int)n;
	if (name[n - 1] == '\n')
		name[n - 1] = '\0';
	for (int64_t i = 0; i < hd_option_int(server, "repeat") && r >= 0; i++) {
		if (i > 0)
			r = hd_sleep(req, (unsigned)hd_option_ms(server, "pause"));
		if (r >= 0)
			r = hd_printf(req, "%s, %s%s\n", hd_option_string(server, "greeting"), name,
				      hd_option_bool(server, "shout") ? "!" : "");
	}
	for (unsigned i = 0; i < hd_option_count(server, "friends") && r >= 0; i++)
		r = hd_printf(req, "and %s\n", hd_option_item(server, "friends", i));
	if (motd != NULL && r >= 0)
		r = hd_printf(req, "see %s\n", motd);
	return r;
}
