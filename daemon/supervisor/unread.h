/*
 * unread.h - the end of a channel in which a worker may have left descriptors.
 */
#ifndef SUPERVISOR_UNREAD_H
#define SUPERVISOR_UNREAD_H

/* Closes it. Whatever is unread there does not hold up the caller. */
void unread_close(int fd);

#endif
