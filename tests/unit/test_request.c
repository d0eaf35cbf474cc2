/*
 * test_request.c - a flow's request from connection to connection: names, memory, identity.
 */
#include "flow_cases.h"

#include <stddef.h>

static void
open_named(const char *host, uint16_t port)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_storage addr = {0};
	int ends[2];

	request_close(&req);
	ck_assert_int_eq(inet_pton(AF_INET6, host, &in6.sin6_addr), 1);
	memcpy(&addr, &in6, sizeof(in6));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	(void)close(ends[1]);
	request_open(&req, ends[0], &addr, sizeof(in6));
}

START_TEST(every_connection_has_an_id_of_its_own)
{
	uint64_t last = hd_request_id(&req);

	ck_assert_uint_ne(last, 0);
	for (int i = 0; i < 100; i++) {
		request_close(&req);
		ck_assert_uint_eq(hd_request_id(&req), 0);
		(void)close(client);
		flow_connect_unix();
		ck_assert_uint_gt(hd_request_id(&req), last);
		last = hd_request_id(&req);
		ck_assert_uint_eq(board->slots[0].connection_id, last);
	}
	ck_assert_uint_eq(board->slots[0].accepted, 101);
}
END_TEST

START_TEST(client_is_named_by_its_address)
{
	socklen_t length;
	const struct sockaddr *addr;

	open_named("2001:db8::1", 4711);
	ck_assert_str_eq(hd_client_name(&req), "[2001:db8::1]:4711");
	ck_assert_ptr_eq(hd_client_name(&req), hd_client_name(&req));
	addr = hd_client_address(&req, &length);
	ck_assert_int_eq(addr->sa_family, AF_INET6);
	ck_assert_uint_eq(length, sizeof(struct sockaddr_in6));
	ck_assert_ptr_eq(hd_client_address(&req, NULL), addr);
	/* the next one's name is not this one's */
	open_named("::ffff:192.0.2.1", 4712);
	ck_assert_str_eq(hd_client_name(&req), "192.0.2.1:4712");
	ck_assert_int_eq(hd_client_address(&req, &length)->sa_family, AF_INET);
	ck_assert_uint_eq(length, sizeof(struct sockaddr_in));
}
END_TEST

START_TEST(address_the_kernel_did_not_give_is_unspecified)
{
	struct sockaddr_storage addr = {.ss_family = AF_INET};
	socklen_t length = 77;

	request_close(&req);
	request_open(&req, -1, &addr, 0);
	ck_assert_int_eq(hd_client_address(&req, &length)->sa_family, AF_UNSPEC);
	ck_assert_uint_eq(length, sizeof(sa_family_t));
	ck_assert_str_eq(hd_client_name(&req), "unknown");
	ck_assert_int_eq(hd_local_address(&req, &length)->sa_family, AF_UNSPEC);
	/* a length that is too long is not believed */
	request_open(&req, -1, &addr, 100000);
	(void)hd_client_address(&req, &length);
	ck_assert_uint_le(length, sizeof(addr));
}
END_TEST

START_TEST(local_address_is_the_one_the_client_reached)
{
	struct sockaddr_in peer;
	socklen_t length = sizeof(peer);
	const struct sockaddr_in *local;

	request_close(&req);
	(void)close(client);
	flow_connect_tcp();
	ck_assert_int_eq(getpeername(client, (struct sockaddr *)&peer, &length), 0);
	local = (const struct sockaddr_in *)(const void *)hd_local_address(&req, &length);
	ck_assert_uint_eq(length, sizeof(*local));
	ck_assert_int_eq(local->sin_port, peer.sin_port);
	ck_assert_uint_eq(local->sin_addr.s_addr, peer.sin_addr.s_addr);
	ck_assert_int_eq(hd_client_cred(&req, NULL, NULL, NULL), -EOPNOTSUPP);
}
END_TEST

START_TEST(unix_client_has_credentials)
{
	pid_t pid = 0;

	ck_assert_int_eq(hd_client_cred(&req, &pid, NULL, NULL), 0);
	ck_assert_int_eq(pid, getpid());
}
END_TEST

START_TEST(data_is_null_at_first_and_forgotten_at_the_end)
{
	int mine;

	ck_assert_ptr_null(hd_data(&req));
	hd_set_data(&req, &mine);
	ck_assert_ptr_eq(hd_data(&req), &mine);
	ck_assert_ptr_eq(hd_request_server(&req), &server);
	request_close(&req);
	(void)close(client);
	flow_connect_unix();
	ck_assert_ptr_null(hd_data(&req));
}
END_TEST

START_TEST(memory_is_zeroed_aligned_and_apart)
{
	static const size_t sizes[] = {1, 15, 16, 17, 100, 4000, 4096, 4097, 20000, 1};

	for (int round = 0; round < 3; round++) {
		unsigned char *last = NULL;

		for (int i = 0; i < UNIT_COUNT(sizes); i++) {
			unsigned char *memory = hd_alloc(&req, sizes[i]);

			ck_assert_ptr_nonnull(memory);
			ck_assert_uint_eq((uintptr_t)memory % _Alignof(max_align_t), 0);
			for (size_t j = 0; j < sizes[i]; j++)
				ck_assert_int_eq(memory[j], 0);
			if (last != NULL)
				ck_assert_int_eq(last[0], 0xee);
			memset(memory, 0xee, sizes[i]);
			last = memory;
		}
		request_free_memory(&req);
	}
}
END_TEST

START_TEST(memory_that_cannot_be_is_null)
{
	ck_assert_ptr_nonnull(hd_alloc(&req, 0));
	ck_assert_ptr_null(hd_alloc(&req, SIZE_MAX));
	ck_assert_ptr_null(hd_alloc(&req, SIZE_MAX - 15));
	ck_assert_ptr_null(hd_alloc(&req, SIZE_MAX - 31));
	ck_assert_ptr_nonnull(hd_alloc(&req, 1));
}
END_TEST

START_TEST(large_buffers_and_chunks_do_not_stay_for_ever)
{
	static char block[100000];

	ck_assert_int_eq(stream_put_back(&req, block, sizeof(block)), 0);
	ck_assert_ptr_nonnull(hd_alloc(&req, 100000));
	request_close(&req);
	request_free_memory(&req);
	ck_assert_uint_eq(req.input.room, 0);
	ck_assert_ptr_null(req.input.data);
	ck_assert_ptr_null(req.chunks);
	(void)close(client);
	flow_connect_unix();
	/* one of the usual size does */
	ck_assert_ptr_nonnull(hd_alloc(&req, 100));
	request_free_memory(&req);
	ck_assert_ptr_nonnull(req.chunks);
}
END_TEST

START_TEST(reasons_are_only_what_the_connection_itself_has_shown)
{
	static const int errors[] = {-ECONNRESET, -EPIPE, -ETIMEDOUT, -ECANCELED};

	for (int i = 0; i < UNIT_COUNT(errors); i++) {
		ck_assert(!request_is_reason(&req, errors[i]));
		ck_assert_int_eq(request_note_error(&req, errors[i]), errors[i]);
		ck_assert(request_is_reason(&req, errors[i]));
	}
	ck_assert_int_eq(request_note_error(&req, -EIO), -EIO);
	ck_assert(!request_is_reason(&req, -EIO));
	request_close(&req);
	(void)close(client);
	flow_connect_unix();
	for (int i = 0; i < UNIT_COUNT(errors); i++)
		ck_assert(!request_is_reason(&req, errors[i]));
}
END_TEST

START_TEST(cancelling_what_is_closed_touches_no_descriptor)
{
	int fd = req.fd;

	request_close(&req);
	/* the number may be somebody else's by now */
	ck_assert_int_eq(dup2(client, fd), fd);
	request_cancel(&req);
	request_cancel_idle(&req);
	ck_assert(!req.is_cancelled);
	ck_assert_int_eq(fcntl(fd, F_GETFD), 0);
	(void)close(fd);
}
END_TEST

START_TEST(server_knows_its_requests_in_any_order_of_leaving)
{
	struct hd_request others[3];

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(request_init(&others[i], &server, NULL), 0);
	request_destroy(&others[1]);
	request_destroy(&others[2]);
	ck_assert_ptr_eq(server.requests, &others[0]);
	request_destroy(&others[0]);
	ck_assert_ptr_eq(server.requests, &req);
	ck_assert_ptr_null(req.next);
}
END_TEST

START_TEST(server_keeps_name_data_and_shared_memory)
{
	unsigned char *shared = hd_server_shared(&server, 10000);
	int mine;

	ck_assert_str_eq(hd_server_name(&server), "front");
	ck_assert_ptr_null(hd_server_data(&server));
	hd_server_set_data(&server, &mine);
	ck_assert_ptr_eq(hd_server_data(&server), &mine);
	ck_assert_ptr_nonnull(shared);
	ck_assert_uint_eq((uintptr_t)shared % 4096, 0);
	for (int i = 0; i < 10000; i++)
		ck_assert_int_eq(shared[i], 0);
	ck_assert_ptr_ne(hd_server_shared(&server, 10000), shared);
	ck_assert_ptr_null(hd_server_shared(&server, 0));
	ck_assert_ptr_null(hd_server_shared(&server, SIZE_MAX / 2));
	server.is_sharing_over = true;
	ck_assert_ptr_null(hd_server_shared(&server, 1));
}
END_TEST

START_TEST(log_of_a_handler_names_listener_and_client)
{
	int pipes[2];
	char text[1024] = "";

	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	log_open(LOG_TARGET_STDERR, pipes[1], false, LOG_LEVEL_INFO, "handlerd-worker");
	open_named("::ffff:192.0.2.1", 4711);
	hd_log(&req, HD_LOG_INFO, "one\ntwo");
	hd_log(&req, HD_LOG_DEBUG, "not wanted");
	/* levels outside the range are brought into it */
	hd_log(&req, -5, "loud");
	hd_log(&req, 99, "silent");
	hd_server_log(&server, HD_LOG_NOTICE, "of all");
	ck_assert_int_gt(read(pipes[0], text, sizeof(text) - 1), 0);
	ck_assert_ptr_nonnull(strstr(text, " info: 'front' #2 192.0.2.1:4711: one\\ntwo\n"));
	ck_assert_ptr_nonnull(strstr(text, " error: 'front' #2 192.0.2.1:4711: loud\n"));
	ck_assert_ptr_null(strstr(text, "wanted"));
	ck_assert_ptr_null(strstr(text, "silent"));
	ck_assert_ptr_nonnull(strstr(text, " notice: 'front': of all\n"));
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("request");

	tcase_add_checked_fixture(cases, flow_setup, flow_teardown);
	tcase_add_test(cases, every_connection_has_an_id_of_its_own);
	tcase_add_test(cases, client_is_named_by_its_address);
	tcase_add_test(cases, address_the_kernel_did_not_give_is_unspecified);
	tcase_add_test(cases, local_address_is_the_one_the_client_reached);
	tcase_add_test(cases, unix_client_has_credentials);
	tcase_add_test(cases, data_is_null_at_first_and_forgotten_at_the_end);
	tcase_add_test(cases, memory_is_zeroed_aligned_and_apart);
	tcase_add_test(cases, memory_that_cannot_be_is_null);
	tcase_add_test(cases, large_buffers_and_chunks_do_not_stay_for_ever);
	tcase_add_test(cases, reasons_are_only_what_the_connection_itself_has_shown);
	tcase_add_test(cases, cancelling_what_is_closed_touches_no_descriptor);
	tcase_add_test(cases, server_knows_its_requests_in_any_order_of_leaving);
	tcase_add_test(cases, server_keeps_name_data_and_shared_memory);
	tcase_add_test(cases, log_of_a_handler_names_listener_and_client);
	return unit_run("request", cases);
}
