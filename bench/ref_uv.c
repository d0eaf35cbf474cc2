/*
 * ref_uv - an echo server on libuv, for orientation: its loop, its callbacks and its buffers.
 *
 * As in libuv's own guide, except that a small answer is tried at once (uv_try_write) and only what
 * is left of it is queued, which is what libuv offers to those who want speed.
 */
#define _GNU_SOURCE
#include "ref_listen.h"
#include <uv.h>

struct answer {
	uv_write_t request;
	char *data;
};

static char buffer[65536];

static void
on_closed(uv_handle_t *handle)
{
	free(handle);
}

static void
on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *ret)
{
	(void)handle;
	(void)size;
	*ret = uv_buf_init(buffer, sizeof buffer);
}

static void on_read(uv_stream_t *client, ssize_t got, const uv_buf_t *buf);

static void
on_written(uv_write_t *request, int status)
{
	struct answer *answer = (struct answer *)request;

	if (status < 0)
		uv_close((uv_handle_t *)request->handle, on_closed);
	else
		uv_read_start(request->handle, on_alloc, on_read);
	free(answer->data);
	free(answer);
}

/* What could not be sent at once; meanwhile nothing is read. */
static bool
write_rest(uv_stream_t *client, const char *data, size_t len)
{
	struct answer *answer = malloc(sizeof *answer);
	uv_buf_t rest = uv_buf_init(malloc(len), (unsigned)len);

	if (answer == NULL || rest.base == NULL)
		return false;
	memcpy(rest.base, data, len);
	answer->data = rest.base;
	uv_read_stop(client);
	return uv_write(&answer->request, client, &rest, 1, on_written) == 0;
}

static void
on_read(uv_stream_t *client, ssize_t got, const uv_buf_t *buf)
{
	uv_buf_t all = uv_buf_init(buf->base, got > 0 ? (unsigned)got : 0);
	int sent;

	if (got == 0)
		return;
	if (got > 0) {
		sent = uv_try_write(client, &all, 1);
		if (sent == got)
			return;
		if (sent == UV_EAGAIN)
			sent = 0;
		if (sent >= 0 && write_rest(client, buf->base + sent, (size_t)(got - sent)))
			return;
	}
	uv_close((uv_handle_t *)client, on_closed);
}

static void
on_connection(uv_stream_t *server, int status)
{
	uv_tcp_t *client = malloc(sizeof *client);

	if (status < 0 || client == NULL) {
		free(client);
		return;
	}
	uv_tcp_init(server->loop, client);
	if (uv_accept(server, (uv_stream_t *)client) == 0)
		uv_read_start((uv_stream_t *)client, on_alloc, on_read);
	else
		uv_close((uv_handle_t *)client, on_closed);
}

int
main(int argc, char **argv)
{
	uv_loop_t *loop = uv_default_loop();
	uv_tcp_t server;

	uv_tcp_init(loop, &server);
	if (uv_tcp_open(&server, listen_on_argument(argc, argv)) != 0 ||
	    uv_listen((uv_stream_t *)&server, SOMAXCONN, on_connection) != 0)
		fail(argv[0]);
	return uv_run(loop, UV_RUN_DEFAULT);
}
