/*
 * proof.h - what a block must prove before it is believed.
 *
 * A size word proves itself by its seal, and is taken for true only when it
 * also fits its place: its heap, its arena, and the header behind it. An
 * object proves itself by the shape of its run and the mark that it has or has
 * not. Whatever fails ends the program with a line that names the crime, or
 * the damage that was met on the way. Without PTM_SEALED everything is
 * believed.
 *
 * The arena's lock is held where an arena's blocks may change: not for what
 * says that it looks at one word alone.
 */
#ifndef PTM_PROOF_H
#define PTM_PROOF_H

#include "arena_state.h"
#include "block.h"

/* Ends the program unless `chunk` is one that this arena has in use, as far
 * as its own tag and its neighbours' can tell. `where` is the function the
 * program called. */
void chunk_verify(struct arena *arena, const struct chunk *chunk,
                  const char *where);

/* What chunk_verify checks without the lock: the chunk's own word. */
void chunk_verify_word(const struct arena *arena, const struct chunk *chunk,
                       const char *where);

/* Whether that would find nothing. */
bool chunk_looks_in_use(const struct arena *arena, const struct chunk *chunk);

/* Whether the header behind a chunk whose own word is verified looks sound,
 * seen without the lock: false may be due to a change going on there, and
 * chunk_verify will tell. While the chunk is in use that header stays where
 * it is, whatever becomes of what is behind it. */
bool chunk_next_looks_sound(const struct arena *arena,
                            const struct chunk *chunk);

/* That header, of a chunk whose own word is verified, or the program ends. */
void chunk_verify_next(const struct arena *arena, const struct chunk *chunk,
                       const char *where);

/* The free chunk before one whose P is clear, after its tag, size and footer
 * have agreed. */
struct chunk *chunk_verified_previous(const struct arena *arena,
                                      const struct chunk *chunk);

/* A chunk that is in a bin is what its bin believes, or the program ends. */
void chunk_verify_free(const struct arena *arena, const struct chunk *chunk);

/* Top's word stands behind the last block, where an overflow meets it first. */
void chunk_verify_top(const struct arena *arena);

/* Ends the program unless the chunk is CACHED and in this arena's heaps. */
void chunk_verify_cached(const struct arena *arena, const struct chunk *chunk);

/* Whether that would find nothing. */
bool chunk_looks_cached(const struct arena *arena, const struct chunk *chunk);

/* Ends the program unless `mem`, in a run of that class, is an object that is
 * with the program, as far as can be told without the lock: what is none may
 * see its run go meanwhile, so the class is that which the caller has read. */
void object_verify(const struct arena *arena, unsigned size_class,
                   const void *mem, const char *where);

/* Ends the program if an object that is in a cache has lost its mark. */
void object_verify_cached(const struct arena *arena, const void *mem);

/* Ends the program unless the object, which is not with the program, lies in a
 * run of that class. One that has come back before may lie in what is no run
 * any more, or where there is no heap any more. */
void object_verify_run(const struct arena *arena, unsigned size_class,
                       const void *mem, const char *where);

/* The size of the chunk is believed. */
_Noreturn PTM_COLD void die_of_chunk(const struct arena *arena,
                                     const struct chunk *chunk,
                                     const char *where, const char *what);

/* The class is that of the object; nothing may be there any more. */
_Noreturn PTM_COLD void die_of_object(const struct arena *arena,
                                      unsigned size_class, const void *mem,
                                      const char *where, const char *what);

#endif
