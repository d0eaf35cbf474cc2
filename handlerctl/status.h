/*
 * status.h - the command "status".
 */
#ifndef HANDLERCTL_STATUS_H
#define HANDLERCTL_STATUS_H

#include "handlerctl/verb.h"

int status_run(const struct verb *verb, int argc, char **argv);

#endif
