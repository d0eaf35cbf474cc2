/*
 * sys_complain - code that runs while the handler is loaded says on the channel what the listener's
 * environment tells it to, in place of the worker that loads it: COMPLAIN is the kind; FILE, LINE
 * and TEXT, in which %1b is a byte, are what goes with it; REPEAT is how often; with EXIT
 * it ends then.
 */
#include <handlerd/handler.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* As protocol.h has them. */
#define CHANNEL 3
#define VERSION 2
#define FAILED 4
#define WARNING 5
#define DESCRIPTION 6
#define STAGE_LOAD 2
#define MESSAGE_SIZE 16384

HD_HANDLER(.name = "sys_complain", .version = "1",
	   .flags = HD_STREAM | HD_DGRAM | HD_THREADS | HD_FIBERS);

static unsigned char message[MESSAGE_SIZE];
static size_t length;

static void
add(const void *data, size_t size)
{
	if (size > sizeof(message) - length)
		size = sizeof(message) - length;
	memcpy(message + length, data, size);
	length += size;
}

static void
add_u32(uint32_t value)
{
	add(&value, sizeof(value));
}

static void
add_text(const char *text)
{
	size_t room = sizeof(message) - length - sizeof(uint32_t), size;

	if (text == NULL) {
		add_u32(UINT32_MAX);
		return;
	}
	size = strlen(text) < room ? strlen(text) : room;
	add_u32((uint32_t)size);
	add(text, size);
}

/* What describes a handler has no listener, but the variables LC_* of who asks. */
static const char *
value(const char *name)
{
	char passed[32];

	(void)snprintf(passed, sizeof(passed), "LC_%s", name);
	return getenv(name) != NULL ? getenv(name) : getenv(passed);
}

static uint32_t
number(const char *name, uint32_t otherwise)
{
	const char *text = value(name);

	return text != NULL ? (uint32_t)strtoul(text, NULL, 10) : otherwise;
}

/* %XX are bytes that a configuration file cannot have. */
static const char *
decode(const char *text)
{
	static char decoded[MESSAGE_SIZE];
	char digits[3] = "";
	size_t n = 0;

	for (; text != NULL && *text != '\0' && n < sizeof(decoded) - 1; text++) {
		decoded[n] = *text;
		if (*text == '%' && strlen(text) > 2) {
			memcpy(digits, text + 1, 2);
			decoded[n] = (char)strtoul(digits, NULL, 16);
			text += 2;
		}
		n++;
	}
	return decoded;
}

__attribute__((constructor)) static void
complain(void)
{
	const char *what = value("COMPLAIN");
	uint16_t head[2] = {VERSION, DESCRIPTION};

	if (what == NULL)
		return;
	if (strcmp(what, "failed") == 0)
		head[1] = FAILED;
	else if (strcmp(what, "warning") == 0)
		head[1] = WARNING;
	add(head, sizeof(head));
	add_u32(number("GENERATION", 1));
	if (head[1] == FAILED)
		add_u32(STAGE_LOAD);
	if (head[1] != DESCRIPTION) {
		add_text(value("FILE"));
		add_u32(number("LINE", 0));
	}
	add_text(decode(value("TEXT")));
	for (uint32_t i = number("REPEAT", 1); i > 0; i--)
		(void)send(CHANNEL, message, length, MSG_NOSIGNAL);
	if (value("EXIT") != NULL)
		_exit(1);
}

int
handle(struct hd_request *req)
{
	return hd_printf(req, "loaded\n");
}
