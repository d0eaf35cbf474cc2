/*
 * connections.h - the command "connections".
 */
#ifndef HANDLERCTL_CONNECTIONS_H
#define HANDLERCTL_CONNECTIONS_H

#include "handlerctl/verb.h"

int connections_run(const struct verb *verb, int argc, char **argv);

#endif
