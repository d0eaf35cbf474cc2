/*
 * ctl.h - what all commands of handlerctl share: exit statuses, and how they complain.
 */
#ifndef HANDLERCTL_CTL_H
#define HANDLERCTL_CTL_H

enum ctl_status {
	CTL_DONE = 0,
	CTL_FAILED = 1, /* the other side refused, broke off or did not answer */
	CTL_USAGE = 2,	/* wrong command line */
	CTL_ABSENT = 3, /* nobody is there */
};

/* One line on standard error, behind the program's name. */
void ctl_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, with a pointer to the command's help; returns CTL_USAGE. */
int ctl_complain_usage(const char *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* What is buffered goes out; CTL_FAILED, after a complaint, where that fails, else the status. */
int ctl_flush(int status);

#endif
