/*
 * fuzz_cpus.c - processors are what somebody typed. What can be read can be written, and is then
 * read the same; what cannot, changes nothing.
 */
#include "base/cpus.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cpus cpus = {0}, again = {0};
	char *text = strndup((const char *)data, size), *written;

	if (text == NULL)
		abort();
	if (cpus_parse(text, &cpus) < 0) {
		if (cpus_count(&cpus) != 0)
			abort();
	} else {
		written = cpus_format(&cpus);
		if (cpus_count(&cpus) == 0 || cpus_parse(written, &again) < 0 ||
		    !cpus_equal(&cpus, &again))
			abort();
		free(written);
	}
	free(text);
	return 0;
}
