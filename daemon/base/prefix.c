/*
 * prefix.c - reads and writes blocks of addresses.
 */
#include "base/prefix.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <arpa/inet.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "base/parse.h"
#include "base/text.h"

/* What is cut of somebody's text in a message. */
#define PREFIX_SHOWN 80

static const unsigned char prefix_mapped[12] = {[10] = 0xff, [11] = 0xff};

static unsigned
prefix_bits(const struct prefix *prefix)
{
	return prefix->is_ipv6 ? 128 : 32;
}

static bool
prefix_has_bit(const struct prefix *prefix, unsigned at)
{
	return (prefix->bytes[at / 8] >> (7 - at % 8) & 1) != 0;
}

static bool
prefix_is_clean(const struct prefix *prefix)
{
	for (unsigned i = prefix->length; i < prefix_bits(prefix); i++) {
		if (prefix_has_bit(prefix, i))
			return false;
	}
	return true;
}

static struct prefix
prefix_clean(const struct prefix *prefix)
{
	struct prefix clean = *prefix;

	for (unsigned i = prefix->length; i < prefix_bits(prefix); i++)
		clean.bytes[i / 8] &= (unsigned char)~(1U << (7 - i % 8));
	return clean;
}

/* ::ffff:192.0.2.0/120 is 192.0.2.0/24. */
static void
prefix_unmap(struct prefix *prefix)
{
	if (!prefix->is_ipv6 || prefix->length < 96 ||
	    memcmp(prefix->bytes, prefix_mapped, sizeof(prefix_mapped)) != 0)
		return;
	memmove(prefix->bytes, prefix->bytes + 12, 4);
	memset(prefix->bytes + 4, 0, 12);
	prefix->is_ipv6 = false;
	prefix->length -= 96;
}

/* What was probably meant by a text that is no address. */
static char *
prefix_explain(const char *shown, const char *host)
{
	struct prefix plain;
	char other[INET6_ADDRSTRLEN];

	if (host[0] == '\0')
		return memory_format("'%s' has no address, such as 192.0.2.7 or 2001:db8::/32",
				     shown);
	if (strchr(host, '%') != NULL)
		return memory_format(
			"'%s' has a scope behind %%; access goes by the address alone: "
			"write it without",
			shown);
	if (host[0] == '[')
		return memory_format(
			"'%s' has brackets or a port; write the address alone, such as "
			"2001:db8::7",
			shown);
	if (strpbrk(host, "*xX") != NULL && strpbrk(host, "ghijklmnopqrstuvwyz") == NULL)
		return memory_format("'%s' has wildcards; write a prefix, such as 192.0.2.0/24, or "
				     "\"all\"",
				     shown);
	if (strchr(host, '-') != NULL && strspn(host, "0123456789abcdefABCDEF.:- ") == strlen(host))
		return memory_format("'%s' is a range; write the prefixes that it is made of, such "
				     "as 192.0.2.0/25 and 192.0.2.128/26",
				     shown);
	/* an address and a port */
	(void)snprintf(other, sizeof(other), "%.*s", (int)strcspn(host, ":"), host);
	if (strchr(host, ':') != NULL && inet_pton(AF_INET, other, plain.bytes) == 1)
		return memory_format("'%s' has a port; write the address alone: %s", shown, other);
	if (strspn(host, "0123456789.") == strlen(host))
		return memory_format("'%s' is no IPv4 address: write four numbers from 0 to 255, "
				     "without leading zeros, such as 192.0.2.7",
				     shown);
	if (strspn(host, "0123456789abcdefABCDEF:.") == strlen(host) && strchr(host, ':') != NULL)
		return memory_format("'%s' is no IPv6 address, such as 2001:db8::7", shown);
	return memory_format(
		"'%s' is no address; names are not looked up: write addresses, such as "
		"192.0.2.7, prefixes, such as 2001:db8::/32, or \"all\"",
		shown);
}

static char *
prefix_explain_length(const char *shown, const char *length, const struct prefix *prefix)
{
	struct in_addr mask;
	unsigned bits;

	if (!prefix->is_ipv6 && inet_pton(AF_INET, length, &mask) == 1) {
		bits = (unsigned)__builtin_popcount(mask.s_addr);
		return memory_format("'%s' has a netmask; write how many bits it has, such as /%u",
				     shown, bits);
	}
	return memory_format(
		"'%s' has no good length behind the slash: of an %s address it is from "
		"0 to %u",
		shown, prefix->is_ipv6 ? "IPv6" : "IPv4", prefix_bits(prefix));
}

static char *
prefix_explain_bits(const char *shown, const struct prefix *prefix)
{
	struct prefix network = prefix_clean(prefix), host = *prefix;
	char network_text[PREFIX_TEXT_SIZE], host_text[PREFIX_TEXT_SIZE];

	host.length = prefix_bits(prefix);
	return memory_format("'%s' has bits behind its prefix; write %s for the network, or %s for "
			     "the one address",
			     shown, prefix_format(&network, network_text, sizeof(network_text)),
			     prefix_format(&host, host_text, sizeof(host_text)));
}

/* "0" to "128", in digits alone. */
static bool
prefix_parse_length(const char *text, unsigned most, unsigned *ret)
{
	int64_t number;

	if (strspn(text, "0123456789") != strlen(text) || (text[0] == '0' && text[1] != '\0') ||
	    parse_int64(text, &number) < 0 || number > (int64_t)most)
		return false;
	*ret = (unsigned)number;
	return true;
}

int
prefix_parse(const char *text, struct prefix *ret, char **ret_reason)
{
	const char *slash = strchr(text, '/');
	struct prefix prefix = {.is_ipv6 = false};
	char host[INET6_ADDRSTRLEN], shown[PREFIX_SHOWN];
	CLEANUP_FREE char *whole =
		slash != NULL ? strndup(text, (size_t)(slash - text)) : memory_text(text);

	(void)text_escape(text, strlen(text), shown, sizeof(shown));
	if (whole == NULL)
		return -ENOMEM;
	(void)snprintf(host, sizeof(host), "%s", whole);
	prefix.is_ipv6 =
		strlen(whole) >= sizeof(host) || inet_pton(AF_INET, host, prefix.bytes) != 1;
	if (prefix.is_ipv6 &&
	    (strlen(whole) >= sizeof(host) || inet_pton(AF_INET6, host, prefix.bytes) != 1)) {
		*ret_reason = prefix_explain(shown, whole);
		return -EINVAL;
	}
	prefix.length = prefix_bits(&prefix);
	if (slash != NULL &&
	    !prefix_parse_length(slash + 1, prefix_bits(&prefix), &prefix.length)) {
		*ret_reason = prefix_explain_length(shown, slash + 1, &prefix);
		return -EINVAL;
	}
	if (!prefix_is_clean(&prefix)) {
		*ret_reason = prefix_explain_bits(shown, &prefix);
		return -EINVAL;
	}
	prefix_unmap(&prefix);
	*ret = prefix;
	return 0;
}

const char *
prefix_format(const struct prefix *prefix, char *buf, size_t size)
{
	char host[INET6_ADDRSTRLEN];

	(void)inet_ntop(prefix->is_ipv6 ? AF_INET6 : AF_INET, prefix->bytes, host, sizeof(host));
	if (prefix->length == prefix_bits(prefix))
		(void)snprintf(buf, size, "%s", host);
	else
		(void)snprintf(buf, size, "%s/%u", host, prefix->length);
	return buf;
}

void
prefix_to_words(const struct prefix *prefix, uint64_t ret_words[2])
{
	size_t count = prefix->is_ipv6 ? 16 : 4;

	ret_words[0] = ret_words[1] = 0;
	for (size_t i = 0; i < count; i++)
		ret_words[i / 8] |= (uint64_t)prefix->bytes[i] << (56 - 8 * (i % 8));
}
