/*
 * unread.h - the end of a channel, or of who asks, where descriptors may have been left.
 */
#ifndef SUPERVISOR_UNREAD_H
#define SUPERVISOR_UNREAD_H

/* Closes it. Whatever is unread there does not hold up the caller. */
void unread_close(int fd);

#endif
