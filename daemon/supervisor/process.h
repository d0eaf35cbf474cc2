/*
 * process.h - one execution of the worker program: birth, channel, death.
 *
 * A process is its own process group, which is killed whole at its end. Death is known by its
 * pidfd; what it said before it died is delivered before its death is.
 */
#ifndef SUPERVISOR_PROCESS_H
#define SUPERVISOR_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/loop.h"
#include "ipc/channel.h"
#include "supervisor/outlet.h"
#include "supervisor/refusals.h"

struct process {
	pid_t pid;	/* 0: not running */
	pid_t last_pid; /* the same, also when it is dead */
	uint32_t generation;
	uint16_t protocol; /* the version that it speaks */
	struct loop *loop; /* not owned */
	struct loop_source channel;
	struct loop_source death;
	struct refusals refusals;
	bool is_confined; /* it has told of its sandbox; what comes later is not believed */
	void (*on_message)(struct process *process, struct channel_message *message);
	void (*on_death)(struct process *process, int status); /* as waitpid(2) gives it */
	/* A call of it, or of what it has started, was refused. */
	void (*on_refusal)(struct process *process, const struct refusal *refusal);
};

/* What a worker is born with. Descriptors and texts stay the caller's. */
struct process_birth {
	int program_fd;
	int settings_fd;
	int scoreboard_fd; /* -1: none */
	int handler_fd;
	const struct outlet *outlet;
	int ports_fd;	     /* -1: none */
	int access_fd;	     /* -1: none */
	int bans_fd;	     /* -1: none */
	const int *more_fds; /* from WORKER_FD_SOCKETS on */
	size_t more_count;
	char *const *environment; /* NULL-terminated */
};

/* Executes the program. The three functions must be set. 0 or a negative errno. */
int process_start(struct process *process, struct loop *loop, uint32_t generation,
		  const struct process_birth *birth);

/* Goes on with one that another execution of this program has started: pid, generation, protocol,
 * the channel's and the refusals' descriptors and the three functions must be set. What it said
 * meanwhile, and its death, are delivered from the loop. 0 or a negative errno. */
int process_attach(struct process *process, struct loop *loop);

/* In a child, before it executes something: every signal as a fresh process has it. */
void process_reset_signals(void);

/* Sends a message; a process that does not read is as good as dead and will be found out. */
void process_send(struct process *process, enum protocol_type type, const struct buf *payload);

/* Kills it and its group. Its death is still reported. */
void process_kill(struct process *process);

/* Reaps a child that has just been killed, or is dead, as the pidfd tells; -1: none. Its status as
 * waitpid(2) gives it. One that a debugger or the kernel holds counts as killed, and is reaped when
 * it can be, see orphans.h: nobody waits for that. */
int process_wait(pid_t pid, int pidfd);

/* Kills it, waits for it, and reports nothing. */
void process_destroy(struct process *process);

#endif
