/*
 * fingerprint.c - notes what is set on a socket, and puts it back. One table says what there is;
 * the order is that in which things are put back.
 */
#include "net/fingerprint.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/memory.h"

/* Later than the C library may be. */
#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

enum fingerprint_way {
	FINGERPRINT_PLAIN,  /* is set to what it was */
	FINGERPRINT_SYSTEM, /* the same; where it is unset it shows what a sysctl says */
	FINGERPRINT_BUFFER, /* shows the double of what it is set to */
	FINGERPRINT_UNSET,  /* shows a default where it is 0 */
	FINGERPRINT_LENGTH, /* is noted by its length; goes by being set to nothing */
	FINGERPRINT_FILTER, /* so does this one, and is taken off */
	FINGERPRINT_FLAGS,  /* of the open file description */
	FINGERPRINT_FIXED,  /* stays as it is */
	FINGERPRINT_HIDDEN, /* cannot be asked for; is set to nothing */
};

/* The kinds of sockets that have it. */
enum {
	FINGERPRINT_TCP = 1,
	FINGERPRINT_UDP = 2,
	FINGERPRINT_UNIX = 4,
	FINGERPRINT_IPV6 = 8, /* and of those, IPv6 ones only */
	FINGERPRINT_INET = FINGERPRINT_TCP | FINGERPRINT_UDP,
	FINGERPRINT_ANY = FINGERPRINT_INET | FINGERPRINT_UNIX,
	FINGERPRINT_INET6 = FINGERPRINT_INET | FINGERPRINT_IPV6,
};

static const struct fingerprint_row {
	const char *name;
	int level, option;
	unsigned kinds;
	enum fingerprint_way way;
	bool is_of_listening; /* listening changes it, by a sysctl */
} fingerprint_rows[] = {
#define ROW(level_, option_, number_, kinds_, way_)                                                \
	{                                                                                          \
		.name = #option_, .level = (level_), .option = (number_),                          \
		.kinds = FINGERPRINT_##kinds_, .way = FINGERPRINT_##way_                           \
	}
#define SOCKET_ROW(option_, kinds_, way_)                                                          \
	{                                                                                          \
		.name = #option_, .level = SOL_SOCKET, .option = (option_),                        \
		.kinds = FINGERPRINT_##kinds_, .way = FINGERPRINT_##way_                           \
	}
#define LISTENING_ROW(level_, option_, number_, kinds_, way_)                                      \
	{                                                                                          \
		.name = #option_, .level = (level_), .option = (number_),                          \
		.kinds = FINGERPRINT_##kinds_, .way = FINGERPRINT_##way_, .is_of_listening = true  \
	}
#include "net/fingerprint_rows.inc"
#undef LISTENING_ROW
#undef SOCKET_ROW
#undef ROW
};

_Static_assert(COUNT_OF(fingerprint_rows) <= FINGERPRINT_MOST_OPTIONS, "there is room for all");

static int
fingerprint_get_number(int fd, int option)
{
	int value = -1;
	socklen_t length = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &length) < 0 ? -1 : value;
}

/* 0: of no kind that clients come to. */
static unsigned
fingerprint_kind(int fd)
{
	int family = fingerprint_get_number(fd, SO_DOMAIN);
	unsigned kind = fingerprint_get_number(fd, SO_TYPE) == SOCK_STREAM ? FINGERPRINT_TCP
									   : FINGERPRINT_UDP;

	switch (family) {
	case AF_UNIX:
		return FINGERPRINT_UNIX;
	case AF_INET:
		return kind;
	case AF_INET6:
		return kind | FINGERPRINT_IPV6;
	default:
		return 0;
	}
}

static bool
fingerprint_has(unsigned kind, const struct fingerprint_row *row)
{
	return (row->kinds & kind & FINGERPRINT_ANY) != 0 &&
	       ((row->kinds & FINGERPRINT_IPV6) == 0 || (kind & FINGERPRINT_IPV6) != 0);
}

static void
fingerprint_set_number(struct fingerprint_value *to, int number)
{
	to->is_there = true;
	to->length = sizeof(number);
	memcpy(to->bytes, &number, sizeof(number));
}

static int
fingerprint_number(const struct fingerprint_value *value)
{
	int number = 0;

	memcpy(&number, value->bytes, sizeof(number));
	return number;
}

/* How long it is. What cannot be read, since it is a program of another kind, has an error's number
 * as its length: that is a filter, too. */
static void
fingerprint_read_length(int fd, const struct fingerprint_row *row, struct fingerprint_value *ret)
{
	unsigned char bytes[1024];
	socklen_t length = row->way == FINGERPRINT_FILTER ? 0 : sizeof(bytes);
	int r = getsockopt(fd, row->level, row->option, bytes, &length) < 0 ? -errno : (int)length;

	if (r == -ENOPROTOOPT || r == -EOPNOTSUPP)
		return;
	fingerprint_set_number(ret, r);
}

static void
fingerprint_read(int fd, const struct fingerprint_row *row, struct fingerprint_value *ret)
{
	socklen_t length = sizeof(ret->bytes);

	memset(ret, 0, sizeof(*ret));
	switch (row->way) {
	case FINGERPRINT_HIDDEN:
		return;
	case FINGERPRINT_FLAGS:
		fingerprint_set_number(ret, fcntl(fd, F_GETFL));
		return;
	case FINGERPRINT_LENGTH:
	case FINGERPRINT_FILTER:
		fingerprint_read_length(fd, row, ret);
		return;
	default:
		ret->is_there = getsockopt(fd, row->level, row->option, ret->bytes, &length) == 0;
		ret->length = ret->is_there ? (uint8_t)length : 0;
	}
}

static int
fingerprint_put_number(int fd, const struct fingerprint_row *row, int option, int number)
{
	return setsockopt(fd, row->level, option, &number, sizeof(number)) < 0 ? -errno : 0;
}

static int
fingerprint_put_buffer(int fd, const struct fingerprint_row *row, int shown)
{
	int force = row->option == SO_RCVBUF ? SO_RCVBUFFORCE : SO_SNDBUFFORCE;
	int r = fingerprint_put_number(fd, row, force, shown / 2);

	return r == -EPERM ? fingerprint_put_number(fd, row, row->option, shown / 2) : r;
}

static int
fingerprint_put_nothing(int fd, const struct fingerprint_row *row)
{
	static const unsigned char nothing[32];

	return setsockopt(fd, row->level, row->option, nothing, 0) < 0 ? -errno : 0;
}

/* Results are not looked at: that it reads as it did is what counts. */
static void
fingerprint_put(int fd, const struct fingerprint_row *row, const struct fingerprint_value *value)
{
	switch (row->way) {
	case FINGERPRINT_BUFFER:
		(void)fingerprint_put_buffer(fd, row, fingerprint_number(value));
		return;
	case FINGERPRINT_LENGTH:
		if (fingerprint_number(value) == 0)
			(void)fingerprint_put_nothing(fd, row);
		return;
	case FINGERPRINT_FILTER:
		if (fingerprint_number(value) == 0)
			(void)fingerprint_put_number(fd, row, SO_DETACH_FILTER, 0);
		return;
	case FINGERPRINT_FLAGS:
		(void)fcntl(fd, F_SETFL, fingerprint_number(value));
		return;
	case FINGERPRINT_FIXED:
	case FINGERPRINT_HIDDEN:
		return;
	default:
		(void)setsockopt(fd, row->level, row->option, value->bytes, value->length);
	}
}

static bool
fingerprint_is_same(const struct fingerprint_value *a, const struct fingerprint_value *b)
{
	return a->is_there == b->is_there && a->length == b->length &&
	       memcmp(a->bytes, b->bytes, a->length) == 0;
}

/* Whether the option is as it was, in the end. */
static bool
fingerprint_mend(int fd, const struct fingerprint_row *row, const struct fingerprint_value *value)
{
	struct fingerprint_value now;

	if (row->way == FINGERPRINT_UNSET) {
		(void)fingerprint_put_number(fd, row, row->option, 0);
		fingerprint_read(fd, row, &now);
		if (fingerprint_is_same(&now, value))
			return true;
	}
	fingerprint_put(fd, row, value);
	fingerprint_read(fd, row, &now);
	return fingerprint_is_same(&now, value);
}

/* Whether it is as on a socket that was made a moment ago: the system's own value may change. */
static bool
fingerprint_is_system(int fd, const struct fingerprint_row *row,
		      const struct fingerprint_value *value)
{
	CLEANUP_CLOSE int fresh =
		row->way == FINGERPRINT_SYSTEM
			? socket(fingerprint_get_number(fd, SO_DOMAIN),
				 fingerprint_get_number(fd, SO_TYPE) | SOCK_CLOEXEC, 0)
			: -1;
	struct fingerprint_value now;

	if (fresh < 0)
		return false;
	fingerprint_read(fresh, row, &now);
	return fingerprint_is_same(&now, value);
}

/* Nothing is what it was, and nobody can tell whether it is so. */
static void
fingerprint_put_hidden(int fd, const struct fingerprint_row *row)
{
	static const unsigned char nothing[32];
	/* the longest is struct in6_pktinfo */
	socklen_t length = row->option == IPV6_PKTINFO && row->level == IPPROTO_IPV6
				   ? sizeof(struct in6_pktinfo)
				   : sizeof(int);

	(void)setsockopt(fd, row->level, row->option, nothing, length);
}

void
fingerprint_take(int fd, struct fingerprint *ret)
{
	unsigned kind = fingerprint_kind(fd);

	memset(ret, 0, sizeof(*ret));
	ret->is_known = true;
	for (size_t i = 0; i < COUNT_OF(fingerprint_rows); i++) {
		if (fingerprint_has(kind, &fingerprint_rows[i]))
			fingerprint_read(fd, &fingerprint_rows[i], &ret->values[i]);
	}
}

static void
fingerprint_note_name(char names[FINGERPRINT_NAMES_SIZE], const char *name)
{
	size_t length = strlen(names), left = FINGERPRINT_NAMES_SIZE - length;
	const char *link = length > 0 ? ", " : "";

	/* some are enough */
	if (strlen(link) + strlen(name) < left)
		(void)snprintf(names + length, left, "%s%s", link, name);
}

int
fingerprint_put_back(int fd, const struct fingerprint *fingerprint,
		     char names[FINGERPRINT_NAMES_SIZE])
{
	unsigned kind = fingerprint_kind(fd);
	const char *lost = NULL;
	bool has_changed = false;

	names[0] = '\0';
	for (size_t i = 0; i < COUNT_OF(fingerprint_rows); i++) {
		const struct fingerprint_row *row = &fingerprint_rows[i];
		const struct fingerprint_value *value = &fingerprint->values[i];
		struct fingerprint_value now;

		if (row->way == FINGERPRINT_HIDDEN && fingerprint_has(kind, row))
			fingerprint_put_hidden(fd, row);
		if (!value->is_there)
			continue;
		fingerprint_read(fd, row, &now);
		if (fingerprint_is_same(&now, value) || fingerprint_is_system(fd, row, &now))
			continue;
		has_changed = true;
		if (fingerprint_mend(fd, row, value))
			fingerprint_note_name(names, row->name);
		else if (lost == NULL)
			lost = row->name;
	}
	if (lost == NULL)
		return has_changed;
	(void)snprintf(names, FINGERPRINT_NAMES_SIZE, "%s", lost);
	return -EPERM;
}

void
fingerprint_follow(struct fingerprint *fingerprint, const struct fingerprint *before,
		   const struct fingerprint *now)
{
	for (size_t i = 0; i < COUNT_OF(fingerprint_rows); i++) {
		if (!fingerprint_is_same(&before->values[i], &now->values[i]))
			fingerprint->values[i] = now->values[i];
	}
}

void
fingerprint_forget_listening(struct fingerprint *fingerprint)
{
	for (size_t i = 0; i < COUNT_OF(fingerprint_rows); i++) {
		if (fingerprint_rows[i].is_of_listening)
			fingerprint->values[i].is_there = false;
	}
}

char *
fingerprint_format(const struct fingerprint *fingerprint)
{
	struct buf text = {0};
	char *result;

	for (size_t i = 0; i < COUNT_OF(fingerprint_rows); i++) {
		const struct fingerprint_value *value = &fingerprint->values[i];

		if (!value->is_there)
			continue;
		buf_add_format(&text, "%s%s=", text.length > 0 ? " " : "",
			       fingerprint_rows[i].name);
		for (size_t k = 0; k < value->length; k++)
			buf_add_format(&text, "%02x", value->bytes[k]);
	}
	result = memory_format("%.*s", (int)text.length,
			       text.length > 0 ? (const char *)text.data : "");
	buf_free(&text);
	return result;
}

/* Whether these are the digits of a value. */
static bool
fingerprint_parse_value(const char *digits, size_t length, struct fingerprint_value *ret)
{
	struct fingerprint_value value = {.is_there = true, .length = (uint8_t)(length / 2)};

	if (length % 2 != 0 || length / 2 > sizeof(value.bytes) ||
	    strspn(digits, "0123456789abcdef") < length)
		return false;
	for (size_t i = 0; i < value.length; i++) {
		char two[] = {digits[2 * i], digits[2 * i + 1], '\0'};

		value.bytes[i] = (unsigned char)strtoul(two, NULL, 16);
	}
	*ret = value;
	return true;
}

void
fingerprint_parse(const char *text, struct fingerprint *to)
{
	while (*text != '\0') {
		size_t length = strcspn(text, " ");
		size_t name = strcspn(text, "=");

		for (size_t i = 0; i < COUNT_OF(fingerprint_rows) && name < length; i++) {
			if (strlen(fingerprint_rows[i].name) == name &&
			    strncmp(fingerprint_rows[i].name, text, name) == 0)
				to->is_known |= fingerprint_parse_value(
					text + name + 1, length - name - 1, &to->values[i]);
		}
		text += length;
		text += strspn(text, " ");
	}
}
