/*
 * gate - the callbacks around a connection: who may come in, what becomes of errors, and what is
 * done now and then.
 */
#include <errno.h>
#include <handlerd/handler.h>
#include <netinet/in.h>
#include <string.h>

static const struct hd_option options[] = {
	HD_OPTION_BOOL("low_ports_only", 0, "refuse clients that come from a port above 1023"),
	HD_OPTION_END,
};

static int verify(struct hd_request *req);
static void handle_error(struct hd_request *req, int error);
static void service_actions(struct hd_server *server);
static void stop(struct hd_server *server);

HD_HANDLER(.name = "gate", .version = "1.0.0", .summary = "Shows the optional callbacks",
	   .flags = HD_STREAM, .options = options, .server_stop = stop, .verify = verify,
	   .handle_error = handle_error, .service_actions = service_actions);

static unsigned long served, ticks;

/* Before setup. May not wait, so it sends nothing. */
static int
verify(struct hd_request *req)
{
	const struct sockaddr *client = hd_client_address(req, NULL);
	struct sockaddr_in in;

	if (!hd_option_bool(hd_request_server(req), "low_ports_only"))
		return 0;
	if (client->sa_family != AF_INET)
		return -EACCES;
	memcpy(&in, client, sizeof(in));
	return ntohs(in.sin_port) < 1024 ? 0 : -EACCES;
}

int
handle(struct hd_request *req)
{
	char line[32];
	ssize_t n = hd_readline(req, line, sizeof(line));

	if (n < 0)
		return (int)n;
	if (strncmp(line, "fail", 4) == 0)
		return -EPROTO; /* an error of the handler's own: it is logged */
	served++;
	return hd_printf(req, "served %lu, %lu ticks\n", served, ticks);
}

/* After finish, when setup or handle returned an error of its own. The connection is still there.
 */
static void
handle_error(struct hd_request *req, int error)
{
	(void)hd_printf(req, "sorry: %s\n", strerror(-error));
}

/* About twice a second. Without HD_THREADS never while handle runs. */
static void
service_actions(struct hd_server *server)
{
	(void)server;
	ticks++;
}

/* Once, after the last connection. */
static void
stop(struct hd_server *server)
{
	hd_server_log(server, HD_LOG_INFO, "served %lu in all", served);
}
