/*
 * pattern.h - contents that belong to one block only.
 *
 * A block is filled with words that depend on its tag and on their place, so
 * that two blocks that overlap, a copy that stops short or bytes that somebody
 * else wrote are seen. Large blocks are sampled, a page here and there, so that
 * a test can hold more address space than memory.
 */
#ifndef PATTERN_H
#define PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Blocks above this many bytes are sampled. */
#define PATTERN_WHOLE_LIMIT ((size_t)256 * 1024)

void pattern_fill(void *block, size_t size, uint64_t tag);

/*
 * Says whether the first `prefix` bytes of a block that was filled with `size`
 * bytes are as they were filled.
 */
bool pattern_holds(const void *block, size_t size, size_t prefix, uint64_t tag);

/* Says whether the block reads as zeros, sampled in the same way. */
bool pattern_is_zero(const void *block, size_t size);

#endif
