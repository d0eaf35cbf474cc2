/*
 * filesystem.h - what kind of file system a file is on.
 */
#ifndef BASE_FILESYSTEM_H
#define BASE_FILESYSTEM_H

#include <stdbool.h>

/* Whether nobody on this machine can write to the file system of `fd`, whatever modes and owners
 * say. False for one that is only mounted read-only here, as service managers do it: elsewhere it
 * may be written. */
bool filesystem_is_read_only(int fd);

#endif
