/*
 * send.h - the command "send": a client for trying things.
 */
#ifndef HANDLERCTL_SEND_H
#define HANDLERCTL_SEND_H

/* The command; argv[0] is its name. Returns the exit status. */
int send_run(int argc, char **argv);

#endif
