/*
 * orders.h - the commands that tell the daemon to do something.
 */
#ifndef HANDLERCTL_ORDERS_H
#define HANDLERCTL_ORDERS_H

#include "handlerctl/verb.h"

int orders_reload(const struct verb *verb, int argc, char **argv);
int orders_stop(const struct verb *verb, int argc, char **argv);
int orders_upgrade(const struct verb *verb, int argc, char **argv);
/* pause, drain and resume */
int orders_hold(const struct verb *verb, int argc, char **argv);
int orders_kill(const struct verb *verb, int argc, char **argv);
int orders_log_level(const struct verb *verb, int argc, char **argv);
int orders_wait(const struct verb *verb, int argc, char **argv);

#endif
