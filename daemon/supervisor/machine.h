/*
 * machine.h - how much there is to do on the machine, and how much room is left: memory and load.
 */
#ifndef SUPERVISOR_MACHINE_H
#define SUPERVISOR_MACHINE_H

#include <stdint.h>

/* What is not known is -1: where /proc hides it (ProcSubset=pid). */
struct machine_state {
	/* Memory in use that cannot be had back at once, in thousandths: of the machine, or of what
	 * a control group of this process may have, whichever is nearer to its end. */
	int64_t memory;
	int64_t load; /* average of the last minute, in thousandths */
};

/* `root` is where proc and sys are: "" but for tests. */
struct machine_state machine_read(const char *root);

#endif
