/*
 * test_ctl_target.c - PROTO:ADDRESS of a client.
 */
#include "handlerctl/target.h"

#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "unit.h"

static const struct good {
	const char *text, *name, *host, *port;
	int type;
} goods[] = {
	{"tcp:127.0.0.1:7100", "tcp 127.0.0.1:7100", "127.0.0.1", "7100", SOCK_STREAM},
	{"udp:127.0.0.1:1", "udp 127.0.0.1:1", "127.0.0.1", "1", SOCK_DGRAM},
	{"tcp:localhost:65535", "tcp localhost:65535", "localhost", "65535", SOCK_STREAM},
	{"tcp:[::1]:7", "tcp [::1]:7", "::1", "7", SOCK_STREAM},
	{"udp:[fe80::1%lo]:7", "udp [fe80::1%lo]:7", "fe80::1%lo", "7", SOCK_DGRAM},
	{"unix:/run/x:y", "unix /run/x:y", NULL, NULL, SOCK_STREAM},
	{"unixgram:@name", "unixgram @name", NULL, NULL, SOCK_DGRAM},
};

START_TEST(address_is_taken_apart)
{
	const struct good *good = &goods[_i];
	struct target target;
	char *reason = NULL;

	ck_assert_int_eq(target_parse(&target, good->text, &reason), 0);
	ck_assert_ptr_null(reason);
	ck_assert_str_eq(target.name, good->name);
	ck_assert_pstr_eq(target.host, good->host);
	ck_assert_pstr_eq(target.port, good->port);
	ck_assert_int_eq(target.protocol->type, good->type);
	ck_assert_int_eq(target_is_stream(&target), good->type == SOCK_STREAM);
	ck_assert_uint_eq(target.count, good->host == NULL ? 1 : 0);
	target_free(&target);
	ck_assert_ptr_null(target.name);
}
END_TEST

static const struct bad {
	const char *text, *reason;
} bads[] = {
	{"", "does not begin with a protocol"},
	{"tcp", "does not begin with a protocol"},
	{"127.0.0.1:7100", "does not begin with a protocol"},
	{"tpc:127.0.0.1:7100", "did you mean 'tcp'?"},
	{"unixgarm:/x", "did you mean 'unixgram'?"},
	{"TCP:127.0.0.1:7100", "did you mean 'tcp'?"},
	{"tcp:127.0.0.1", "write HOST:PORT"},
	{"tcp:[::1]", "write [IPV6]:PORT"},
	{"tcp:[::1:7", "stands in brackets"},
	{"tcp:[]:7", "stands in brackets"},
	{"tcp:::1:7", "stands in brackets"},
	{"tcp::7", "the host is missing"},
	{"tcp:*:7", "'*' is where a server listens"},
	{"tcp:localhost:", "the port is missing"},
	{"tcp:localhost:0", "from 1 to 65535"},
	{"tcp:localhost:65536", "from 1 to 65535"},
	{"tcp:localhost:http", "from 1 to 65535"},
	{"tcp:localhost:-7", "from 1 to 65535"},
	{"unix:", "begins with '/'"},
	{"unix:run/x", "begins with '/'"},
	{"unix:/", "missing after '/'"},
	{"unixgram:@", "missing after '@'"},
};

START_TEST(wrong_address_has_its_own_reason)
{
	const struct bad *bad = &bads[_i];
	struct target target;
	char *reason = NULL;

	ck_assert_int_eq(target_parse(&target, bad->text, &reason), -EINVAL);
	ck_assert_ptr_nonnull(reason);
	ck_assert_msg(strstr(reason, bad->reason) != NULL, "'%s': %s", bad->text, reason);
	free(reason);
	target_free(&target);
}
END_TEST

START_TEST(path_keeps_its_nul_and_abstract_name_has_none)
{
	const struct sockaddr_un *un;
	struct target target;
	char *reason = NULL;

	ck_assert_int_eq(target_parse(&target, "unix:/ab", &reason), 0);
	un = (const struct sockaddr_un *)&target.addresses[0].addr;
	ck_assert_int_eq(un->sun_family, AF_UNIX);
	ck_assert_str_eq(un->sun_path, "/ab");
	ck_assert_uint_eq(target.addresses[0].length, offsetof(struct sockaddr_un, sun_path) + 4);
	target_free(&target);

	ck_assert_int_eq(target_parse(&target, "unix:@ab", &reason), 0);
	un = (const struct sockaddr_un *)&target.addresses[0].addr;
	ck_assert_mem_eq(un->sun_path, "\0ab", 3);
	ck_assert_uint_eq(target.addresses[0].length, offsetof(struct sockaddr_un, sun_path) + 3);
	target_free(&target);
}
END_TEST

START_TEST(path_is_taken_up_to_the_last_byte_that_fits)
{
	struct sockaddr_un un;
	char text[sizeof("unix:") + sizeof(un.sun_path)] = "unix:/";
	struct target target;
	char *reason = NULL;

	memset(text + strlen("unix:/"), 'a', sizeof(un.sun_path) - 2);
	ck_assert_uint_eq(strlen(text) - strlen("unix:"), sizeof(un.sun_path) - 1);
	ck_assert_int_eq(target_parse(&target, text, &reason), 0);
	target_free(&target);

	text[strlen(text)] = 'a';
	ck_assert_int_eq(target_parse(&target, text, &reason), -EINVAL);
	ck_assert_ptr_nonnull(strstr(reason, "at most 107 bytes"));
	free(reason);
	target_free(&target);
}
END_TEST

START_TEST(number_is_resolved_to_itself)
{
	const struct sockaddr_in6 *v6;
	const struct sockaddr_in *v4;
	struct target target;
	char *reason = NULL;

	ck_assert_int_eq(target_parse(&target, "udp:127.0.0.2:7100", &reason), 0);
	ck_assert_int_eq(target_resolve(&target, &reason), 0);
	ck_assert_uint_eq(target.count, 1);
	v4 = (const struct sockaddr_in *)&target.addresses[0].addr;
	ck_assert_uint_eq(target.addresses[0].length, sizeof(*v4));
	ck_assert_uint_eq(ntohl(v4->sin_addr.s_addr), 0x7f000002);
	ck_assert_uint_eq(ntohs(v4->sin_port), 7100);
	target_free(&target);

	ck_assert_int_eq(target_parse(&target, "tcp:[fe80::1%lo]:9", &reason), 0);
	ck_assert_int_eq(target_resolve(&target, &reason), 0);
	ck_assert_uint_eq(target.count, 1);
	v6 = (const struct sockaddr_in6 *)&target.addresses[0].addr;
	ck_assert_int_eq(v6->sin6_family, AF_INET6);
	ck_assert_uint_eq(v6->sin6_scope_id, if_nametoindex("lo"));
	target_free(&target);
}
END_TEST

START_TEST(what_cannot_be_resolved_is_told)
{
	static const char *const texts[] = {"tcp:[localhost]:7", "tcp:[::1%nowhere]:7",
					    "tcp:[127.0.0.1]:7"};

	for (int i = 0; i < UNIT_COUNT(texts); i++) {
		struct target target;
		char *reason = NULL;

		ck_assert_int_eq(target_parse(&target, texts[i], &reason), 0);
		ck_assert_int_eq(target_resolve(&target, &reason), -ENXIO);
		ck_assert_ptr_nonnull(strstr(reason, "is no IPv6 address"));
		free(reason);
		target_free(&target);
	}
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("target");

	tcase_add_loop_test(cases, address_is_taken_apart, 0, UNIT_COUNT(goods));
	tcase_add_loop_test(cases, wrong_address_has_its_own_reason, 0, UNIT_COUNT(bads));
	tcase_add_test(cases, path_keeps_its_nul_and_abstract_name_has_none);
	tcase_add_test(cases, path_is_taken_up_to_the_last_byte_that_fits);
	tcase_add_test(cases, number_is_resolved_to_itself);
	tcase_add_test(cases, what_cannot_be_resolved_is_told);
	return unit_run("ctl_target", cases);
}
