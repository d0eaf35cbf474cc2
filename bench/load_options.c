/*
 * load_options.c - the command line, and the addresses on it.
 */
#include "load.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define MOST_DATAGRAM 65507

static bool
address_parse_unix(const char *path, struct address *ret)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};

	if (path[0] != '/' || strlen(path) >= sizeof(name.sun_path))
		return false;
	memcpy(name.sun_path, path, strlen(path) + 1);
	*ret = (struct address){.family = AF_UNIX, .type = SOCK_STREAM, .length = sizeof(name)};
	memcpy(&ret->name, &name, sizeof(name));
	return true;
}

/* Changes TEXT. False if it is no address. */
static bool
address_parse(char *text, struct address *ret)
{
	struct sockaddr_in name = {.sin_family = AF_INET};
	int type = SOCK_STREAM;
	char *colon;

	if (strncmp(text, "unix:", 5) == 0)
		return address_parse_unix(text + 5, ret);
	if (strncmp(text, "udp:", 4) == 0) {
		type = SOCK_DGRAM;
		text += 4;
	}
	colon = strrchr(text, ':');
	if (colon == NULL)
		return false;
	*colon = '\0';
	name.sin_port = htons((uint16_t)atoi(colon + 1));
	if (inet_pton(AF_INET, text, &name.sin_addr) != 1)
		return false;
	*ret = (struct address){
		.family = AF_INET,
		.type = type,
		.length = sizeof(name),
		.on_loopback = ntohl(name.sin_addr.s_addr) >> 24 == 127,
	};
	memcpy(&ret->name, &name, sizeof(name));
	return true;
}

static _Noreturn void
usage(void)
{
	fputs("usage: load [--mode rr|crr|refused|idle] [--connections N] [--active N] [--pipeline "
	      "N]\n"
	      "            [--slow N] [--sources N] [--seconds S] [--size BYTES] [--hold] ADDRESS\n"
	      "       load --mode flood [--datagrams N] [--size BYTES] udp:HOST:PORT\n"
	      "       load --mode paced [--rate N] [--seconds S] [--size BYTES] ADDRESS\n"
	      "ADDRESS is HOST:PORT, udp:HOST:PORT or unix:/path.\n",
	      stderr);
	exit(2);
}

static const char *const mode_names[] = {"rr", "crr", "idle", "flood", "paced", "refused"};

static enum mode
options_parse_mode(const char *name)
{
	for (size_t i = 0; i < sizeof mode_names / sizeof *mode_names; i++)
		if (strcmp(name, mode_names[i]) == 0)
			return (enum mode)i;
	usage();
}

/* What goes with what. */
static void
options_check(const struct options *options)
{
	bool is_udp = options->peer.type == SOCK_DGRAM;

	if (options->connections < 1 || options->size < 1 || options->seconds <= 0 ||
	    options->datagrams < 1 || options->rate <= 0 || options->pipeline < 1 ||
	    options->slow < 0 || options->active < 1 || options->active > options->connections)
		usage();
	if (is_udp ? options->mode != MODE_RR && options->mode != MODE_FLOOD
		   : options->mode == MODE_FLOOD)
		usage();
	if (is_udp && (options->pipeline > 1 || options->slow > 0))
		usage();
	/* room for the number */
	if (is_udp && (options->size < sizeof(uint64_t) || options->size > MOST_DATAGRAM))
		usage();
}

void
options_parse(int argc, char **argv, struct options *ret)
{
	static const struct option longs[] = {
		{"mode", required_argument, NULL, 'm'},
		{"connections", required_argument, NULL, 'c'},
		{"active", required_argument, NULL, 'a'},
		{"pipeline", required_argument, NULL, 'p'},
		{"slow", required_argument, NULL, 'w'},
		{"sources", required_argument, NULL, 'o'},
		{"hold", no_argument, NULL, 'h'},
		{"seconds", required_argument, NULL, 's'},
		{"size", required_argument, NULL, 'b'},
		{"datagrams", required_argument, NULL, 'd'},
		{"rate", required_argument, NULL, 'r'},
		{0},
	};
	int ch, sources = 4;

	*ret = (struct options){
		.connections = 50,
		.pipeline = 1,
		.seconds = 3,
		.size = 64,
		.datagrams = 200000,
		.rate = 1000,
	};
	while ((ch = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (ch == 'm')
			ret->mode = options_parse_mode(optarg);
		else if (ch == 'c')
			ret->connections = atoi(optarg);
		else if (ch == 'a')
			ret->active = atoi(optarg);
		else if (ch == 'p')
			ret->pipeline = atoi(optarg);
		else if (ch == 'w')
			ret->slow = atoi(optarg);
		else if (ch == 'o')
			sources = atoi(optarg);
		else if (ch == 'h')
			ret->hold = true;
		else if (ch == 's')
			ret->seconds = atof(optarg);
		else if (ch == 'b')
			ret->size = (size_t)atol(optarg);
		else if (ch == 'r')
			ret->rate = atof(optarg);
		else if (ch == 'd')
			ret->datagrams = (uint64_t)atoll(optarg);
		else
			usage();
	}
	if (optind != argc - 1 || !address_parse(argv[optind], &ret->peer))
		usage();
	if (sources < 0 || sources > 200)
		usage();
	ret->peer.sources = (unsigned)sources;
	if (ret->active == 0)
		ret->active = ret->connections;
	options_check(ret);
}
