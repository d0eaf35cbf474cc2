/*
 * fuzz_state.c - the state that a supervisor takes over from another version: it is refused with a
 * reason, or can be written and read again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "supervisor/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* libconfig 1.5 loses a string that stands where none may. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
	return "leak:libconfig.so\n";
}

static void
make_blank(struct supervisor *supervisor)
{
	*supervisor = (struct supervisor){.loop.epoll_fd = -1};
	supervisor->world.journal_fd = supervisor->world.ports_fd = -1;
	supervisor->world.ports_reading_fd = supervisor->signals.fd = -1;
	control_init(&supervisor->control);
	stall_init(&supervisor->stalls);
	supervisor->upgrade.program_fd = supervisor->places.worker_fd = -1;
	supervisor->places.handler_directory = memory_text("/usr/lib/handlerd");
	supervisor->places.program = memory_text("/usr/sbin/handlerd");
}

/* Whether it was accepted. */
static bool
read_and_forget(const char *text, size_t size, char **ret_again, size_t *ret_size)
{
	struct supervisor supervisor;
	struct state_origin origin;
	struct state_fds fds = {0};
	char *reason = NULL;
	int r;

	make_blank(&supervisor);
	r = state_read(text, size, &supervisor, &origin, &fds, &reason);
	if ((r < 0) != (reason != NULL))
		abort();
	state_fds_free(&fds);
	if (r >= 0 && ret_again != NULL)
		*ret_again = state_write(&supervisor, origin.began_ns, ret_size, &fds);
	state_fds_free(&fds);
	state_origin_free(&origin);
	free(reason);
	state_let_go(&supervisor);
	supervisor_destroy(&supervisor);
	return r >= 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *again = NULL;
	size_t again_size;

	if (!read_and_forget((const char *)data, size, &again, &again_size))
		return 0;
	if (!read_and_forget(again, again_size, NULL, NULL))
		abort();
	free(again);
	return 0;
}
