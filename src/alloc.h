/*
 * alloc.h - the verbs: which level serves a request, and in what order they
 * are asked.
 *
 *   allocate  0. the thread's cache
 *             1. a large request gets a mapping of its own, if it may
 *             2. the thread's arena, the one it remembers or arena_get2's,
 *                which also fills the cache up
 *             3. that arena has nothing left: the main arena, then others
 *             4. a mapping after all, for what is large enough to deserve it
 *   free      the cache, or an outbox; then the owner table names the arena; 0
 *             leads to the table of direct mappings; neither knows it: a crime
 *   resize    in place; else by mremap; else a new block, a copy, and a free
 *
 * The functions return NULL when memory is out and leave errno alone. Blocks
 * are `mem` pointers, as the program sees them. Thread-safe; no lock is held
 * when they return.
 */
#ifndef PTM_ALLOC_H
#define PTM_ALLOC_H

#include "base.h"

struct arena;

/* All want size <= PTRDIFF_MAX. */
void *alloc_malloc(size_t size);
void *alloc_calloc(size_t size);

/* The same after tcache_malloc has said no. */
void *alloc_malloc_beyond_cache(size_t size);
void *alloc_calloc_beyond_cache(size_t size);

/* `alignment` is a power of two above 16. */
void *alloc_memalign(size_t alignment, size_t size);

/* A block of this very arena, of at least 16 bytes alignment. NULL when it has
 * none left, or was lost in a fork. */
void *alloc_in_arena(struct arena *arena, size_t alignment, size_t size);

/* `mem` is not NULL and `size` is not 0. NULL: `mem` is as it was. */
void *alloc_realloc(void *mem, size_t size);

void alloc_free(void *mem);

/* The same after tcache_free has said no. */
void alloc_free_beyond_cache(void *mem);
size_t alloc_usable_size(const void *mem);

/* Ends the program unless the block may have been asked for with this size. */
void alloc_verify_size(const void *mem, size_t size);

#endif
