/*
 * explain.h - the command explain.
 */
#ifndef HANDLERCTL_EXPLAIN_H
#define HANDLERCTL_EXPLAIN_H

#include "handlerctl/verb.h"

int explain_run(const struct verb *verb, int argc, char **argv);

#endif
