/*
 * send.h - the command "send": a client for trying things.
 */
#ifndef HANDLERCTL_SEND_H
#define HANDLERCTL_SEND_H

#include "handlerctl/verb.h"

/* The command; argv[0] is its name. Returns the exit status. */
int send_run(const struct verb *verb, int argc, char **argv);

#endif
