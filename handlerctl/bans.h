/*
 * bans.h - the command bans.
 */
#ifndef HANDLERCTL_BANS_H
#define HANDLERCTL_BANS_H

#include "handlerctl/verb.h"

int bans_run(const struct verb *verb, int argc, char **argv);

#endif
