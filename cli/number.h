/*
 * number.h - numbers as options have them.
 */
#ifndef NUMBER_H
#define NUMBER_H

#include <stdint.h>

/* A number below 2^40, which may end in k, m or g; 0: it is none. */
uint64_t bytes_in(const char *word);

#endif
