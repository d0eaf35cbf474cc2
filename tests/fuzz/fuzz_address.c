/*
 * fuzz_address.c - an address is what somebody typed, as a path or as a host by the first byte.
 * What can be read can be written, and is then read the same.
 */
#include "conf/address.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A port of the range that begins at this address. */
static void
write_and_read(const struct conf_address *address, bool is_unix)
{
	char text[CONF_ADDRESS_TEXT_SIZE], again_text[CONF_ADDRESS_TEXT_SIZE];
	struct conf_address again;
	const char *reason;
	unsigned count;

	(void)conf_address_format(address, text, sizeof(text));
	if (strlen(text) == sizeof(text) - 1)
		abort();
	if (conf_address_parse(text, is_unix, &again, &count, &reason) < 0 || count != 1)
		abort();
	if (again.kind != address->kind || again.length != address->length ||
	    again.is_dual_stack != address->is_dual_stack ||
	    memcmp(&again.addr, &address->addr, sizeof(again.addr)) != 0 ||
	    strcmp(again.name, address->name) != 0)
		abort();
	if (strcmp(text, conf_address_format(&again, again_text, sizeof(again_text))) != 0)
		abort();
	/* port 0 is another one each time */
	if (conf_address_overlaps(address, &again) !=
	    (address->kind != CONF_ADDRESS_INET || conf_address_port(address) != 0))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf_address address;
	const char *reason = NULL;
	unsigned count = 0;
	bool is_unix;
	char *text;

	if (size == 0)
		return 0;
	is_unix = (data[0] & 1) != 0;
	text = strndup((const char *)data + 1, size - 1);
	if (text == NULL)
		abort();
	if (conf_address_parse(text, is_unix, &address, &count, &reason) < 0) {
		/* every refusal has its words */
		if (reason == NULL || reason[0] == '\0')
			abort();
	} else {
		if (count == 0 || count > CONF_ADDRESS_PORTS_MAX)
			abort();
		write_and_read(&address, is_unix);
		if (count > 1) {
			conf_address_set_port(&address, conf_address_port(&address) + count - 1);
			write_and_read(&address, is_unix);
		}
	}
	free(text);
	return 0;
}
