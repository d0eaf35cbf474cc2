/*
 * address_parse.c - reads addresses. Nothing here asks a name server: a host is a number.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/un.h>

#include "base/parse.h"
#include "conf/address.h"

#define ADDRESS_PORT_MAX 65535
#define ADDRESS_SYSTEMD "systemd:"

/* The sentences below tell these numbers. */
#define ADDRESS_UNIX_MAX 107
#define ADDRESS_NAME_MAX 255

_Static_assert(sizeof(((struct sockaddr_un *)0)->sun_path) == ADDRESS_UNIX_MAX + 1,
	       "the sentences tell how long a path may be");
_Static_assert(sizeof(((struct conf_address *)0)->name) == ADDRESS_NAME_MAX + 1,
	       "the sentences tell how long a name may be");
_Static_assert(CONF_ADDRESS_PORTS_MAX == 1024, "a sentence tells how long a range may be");

static bool
address_has_control(const char *text)
{
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return true;
	}
	return false;
}

/* Whether the kernel binds it only together with an interface. */
static bool
address_needs_scope(const struct in6_addr *host)
{
	return IN6_IS_ADDR_LINKLOCAL(host) || IN6_IS_ADDR_MC_LINKLOCAL(host) ||
	       IN6_IS_ADDR_MC_NODELOCAL(host);
}

/* An IPv6 host without its brackets, with or without %scope. */
static int
address_parse_v6(const char *host, struct conf_address *ret, const char **ret_reason)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ret->addr;
	char digits[INET6_ADDRSTRLEN];
	const char *percent = strchrnul(host, '%');
	size_t length = (size_t)(percent - host);
	int64_t scope = 0;

	v6->sin6_family = AF_INET6;
	ret->length = sizeof(*v6);
	*ret_reason = "what stands in the brackets is not an IPv6 address";
	if (length >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, host, length);
	digits[length] = '\0';
	if (inet_pton(AF_INET6, digits, &v6->sin6_addr) != 1)
		return -EINVAL;
	if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		*ret_reason = "it is an IPv4 address in disguise; write it as HOST:PORT";
		return -EINVAL;
	}
	if (*percent == '\0' && address_needs_scope(&v6->sin6_addr)) {
		*ret_reason = "a link-local address is one of an interface; add %INTERFACE, as in "
			      "[fe80::1%eth0]:7007";
		return -EINVAL;
	}
	if (*percent == '\0')
		return 0;
	if (parse_int64(percent + 1, &scope) < 0)
		scope = if_nametoindex(percent + 1);
	if (scope <= 0 || scope > UINT32_MAX) {
		*ret_reason = "there is no network interface of the name that follows '%'";
		return -EINVAL;
	}
	v6->sin6_scope_id = (uint32_t)scope;
	return 0;
}

/* A host that does not stand in brackets. */
static int
address_parse_host(const char *host, struct conf_address *ret, const char **ret_reason)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ret->addr;
	struct sockaddr_in *v4 = (struct sockaddr_in *)&ret->addr;

	if (*host == '\0') {
		*ret_reason = "the host is missing; write *:PORT for every address of the machine";
		return -EINVAL;
	}
	if (strcmp(host, "*") == 0) {
		v6->sin6_family = AF_INET6;
		v6->sin6_addr = in6addr_any;
		ret->length = sizeof(*v6);
		ret->is_dual_stack = true;
		return 0;
	}
	if (strchr(host, ':') != NULL) {
		*ret_reason = "an IPv6 address stands in brackets, such as [::1]:7007";
		return -EINVAL;
	}
	if (strspn(host, "0123456789.") != strlen(host)) {
		*ret_reason = "a host is written as a number, such as 127.0.0.1; names are not "
			      "looked up";
		return -EINVAL;
	}
	v4->sin_family = AF_INET;
	ret->length = sizeof(*v4);
	if (inet_pton(AF_INET, host, &v4->sin_addr) != 1) {
		*ret_reason = "the host is not an IPv4 address";
		return -EINVAL;
	}
	return 0;
}

/* Digits up to `end`. */
static int
address_parse_number(const char *text, const char *end, int64_t *ret)
{
	size_t length = (size_t)(end - text);
	char digits[24];

	if (length == 0 || length >= sizeof(digits) || strspn(text, "0123456789") < length)
		return -EINVAL;
	memcpy(digits, text, length);
	digits[length] = '\0';
	if (parse_int64(digits, ret) < 0 || *ret > ADDRESS_PORT_MAX)
		return -EINVAL;
	return 0;
}

/* A port, or two with '-' between them. */
static int
address_parse_ports(const char *text, struct conf_address *ret, unsigned *ret_count,
		    const char **ret_reason)
{
	const char *end = text + strlen(text), *hyphen = strchrnul(text, '-');
	int64_t first, last;

	if (*text == '\0') {
		*ret_reason = "the port is missing after ':'";
		return -EINVAL;
	}
	*ret_reason = "the port must be a number from 0 to 65535, or a range such as 9000-9003";
	if (address_parse_number(text, hyphen, &first) < 0)
		return -EINVAL;
	last = first;
	if (*hyphen != '\0' && address_parse_number(hyphen + 1, end, &last) < 0)
		return -EINVAL;
	if (*hyphen != '\0' && (first == 0 || last == 0)) {
		*ret_reason = "port 0 lets the kernel choose and cannot stand in a range; a range "
			      "begins at port 1 or higher";
		return -EINVAL;
	}
	if (last < first) {
		*ret_reason = "the range ends before it begins; write the lower port first";
		return -EINVAL;
	}
	if (last - first >= CONF_ADDRESS_PORTS_MAX) {
		*ret_reason = "the range has more than 1024 ports; divide it among listeners";
		return -EINVAL;
	}
	conf_address_set_port(ret, (unsigned)first);
	*ret_count = (unsigned)(last - first + 1);
	return 0;
}

/* Tells why a text without any port that could be split off is no address. */
static const char *
address_reason_without_port(const char *text)
{
	if (text[0] == '/' || text[0] == '@')
		return "a path or an abstract name needs protocol \"unix\" or \"unixgram\"; "
		       "\"tcp\" and \"udp\" take HOST:PORT, [IPV6]:PORT and *:PORT";
	if (text[0] == '[')
		return "the port is missing; write [IPV6]:PORT";
	if (text[0] != '\0' && strspn(text, "0123456789-") == strlen(text))
		return "the host is missing; write *:PORT for every address of the machine";
	return "the port is missing; write HOST:PORT";
}

static int
address_parse_inet(const char *text, struct conf_address *ret, unsigned *ret_count,
		   const char **ret_reason)
{
	const char *host = text, *colon = strrchr(text, ':');
	bool has_brackets = text[0] == '[';
	char buf[INET6_ADDRSTRLEN + IF_NAMESIZE + 2];
	size_t length;
	int r;

	if (colon == NULL || text[0] == '/' || text[0] == '@' ||
	    (has_brackets && text[strlen(text) - 1] == ']')) {
		*ret_reason = address_reason_without_port(text);
		return -EINVAL;
	}
	if (has_brackets) {
		host = text + 1;
		if (colon < text + 2 || colon[-1] != ']') {
			*ret_reason = "the brackets are not closed before ':'; write [IPV6]:PORT";
			return -EINVAL;
		}
	}
	length = (size_t)(colon - host) - (has_brackets ? 1 : 0);
	if (length >= sizeof(buf)) {
		*ret_reason = "the host is too long";
		return -EINVAL;
	}
	memcpy(buf, host, length);
	buf[length] = '\0';
	r = has_brackets ? address_parse_v6(buf, ret, ret_reason)
			 : address_parse_host(buf, ret, ret_reason);
	if (r < 0)
		return r;
	return address_parse_ports(colon + 1, ret, ret_count, ret_reason);
}

/* "/PATH" or "@NAME". */
static int
address_parse_unix(const char *text, struct conf_address *ret, const char **ret_reason)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&ret->addr;
	bool is_abstract = text[0] == '@';
	const char *name = is_abstract ? text + 1 : text;
	size_t length = strlen(name);

	if (text[0] != '/' && !is_abstract) {
		*ret_reason =
			strchr(text, ':') != NULL && strchr(text, '/') == NULL
				? "a host and a port need protocol \"tcp\" or \"udp\"; "
				  "\"unix\" and \"unixgram\" take /PATH, @NAME and systemd:NAME"
				: "a path must be absolute, beginning with /; an abstract "
				  "name begins with @";
		return -EINVAL;
	}
	if (length == 0) {
		*ret_reason = "the abstract name is missing after '@'";
		return -EINVAL;
	}
	if (length > ADDRESS_UNIX_MAX) {
		*ret_reason = is_abstract ? "an abstract name has at most 107 bytes after the '@'"
					  : "the path of a socket has at most 107 bytes";
		return -EINVAL;
	}
	if (address_has_control(name)) {
		*ret_reason = "it has a control character in it";
		return -EINVAL;
	}
	if (!is_abstract && name[length - 1] == '/') {
		*ret_reason = "it is a directory; add the name of the socket";
		return -EINVAL;
	}
	ret->kind = CONF_ADDRESS_UNIX;
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path + (is_abstract ? 1 : 0), name, length);
	/* a path counts with its NUL, an abstract name with the one before it */
	ret->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
	return 0;
}

/* What stands after "systemd:"; a name as FileDescriptorName= of systemd.socket(5) takes it. */
static int
address_parse_systemd(const char *name, struct conf_address *ret, const char **ret_reason)
{
	size_t length = strlen(name);

	if (length == 0) {
		*ret_reason = "the name is missing; write systemd:NAME, with the "
			      "FileDescriptorName= of the socket unit";
		return -EINVAL;
	}
	if (length > ADDRESS_NAME_MAX) {
		*ret_reason = "a name of systemd has at most 255 characters";
		return -EINVAL;
	}
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)name[i];

		if (c >= ' ' && c < 0x7f && c != ':')
			continue;
		*ret_reason = "a name of systemd is made of ASCII characters without ':' and "
			      "control characters, as FileDescriptorName= wants it";
		return -EINVAL;
	}
	ret->kind = CONF_ADDRESS_SYSTEMD;
	memcpy(ret->name, name, length);
	return 0;
}

int
conf_address_parse(const char *text, bool is_unix, struct conf_address *ret, unsigned *ret_count,
		   const char **ret_reason)
{
	size_t prefix = strlen(ADDRESS_SYSTEMD);
	struct conf_address address;
	unsigned count = 1;
	int r;

	/* the holes as well: addresses are compared as bytes */
	memset(&address, 0, sizeof(address));
	if (strncmp(text, ADDRESS_SYSTEMD, prefix) == 0)
		r = address_parse_systemd(text + prefix, &address, ret_reason);
	else if (is_unix)
		r = address_parse_unix(text, &address, ret_reason);
	else
		r = address_parse_inet(text, &address, &count, ret_reason);
	if (r < 0)
		return r;
	*ret = address;
	*ret_count = count;
	return 0;
}
