/*
 * places.h - where the other files of this installation are. They are found from the program's own
 * place, so that an installation may be moved and the build tree works like one.
 */
#ifndef SUPERVISOR_PLACES_H
#define SUPERVISOR_PLACES_H

struct places {
	char *program;		 /* this one, as it was installed when it was first started */
	char *handler_directory; /* <libdir>/handlerd */
	char *worker_path;	 /* of handlerd-worker, for messages */
	int worker_fd;		 /* the open program: what is executed, also after an upgrade */
};

/* 0, or a negative errno with a new sentence in *ret_reason. */
int places_find(struct places *places, char **ret_reason);
void places_free(struct places *places);

#endif
