/*
 * admission.c - the order of the rules: what costs least and concerns most comes first.
 */
#include "policy/admission.h"

enum close_reason
admission_judge(struct admission *admission, const struct admission_peer *peer,
		uint32_t *ret_source)
{
	(void)peer;
	*ret_source = ADMISSION_NO_SOURCE;
	if (atomic_load_explicit(&admission->board->is_shedding, memory_order_relaxed) != 0)
		return CLOSE_OVERLOAD;
	return CLOSE_NONE;
}

void
admission_leave(struct admission *admission, uint32_t source)
{
	(void)admission;
	(void)source;
}
