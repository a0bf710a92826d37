/*
 * notes.h - what a process has noted for a profile (src/profile.h): its
 * samples, and the stacks that they came from.
 *
 * All of it is copied first. Ends the tool with one line where that cannot be,
 * or where it makes no sense; figures of a process that goes on are of about
 * the same moment only.
 */
#ifndef NOTES_H
#define NOTES_H

#include "account.h"

/* One table of the process, as it was. */
struct table {
    unsigned char *bytes;
    uint64_t used;
};

struct sample {
    uint64_t mem;
    double weight;
    uint64_t stack; /* place */
    double pinned;  /* see pinned.h */
};

struct notes {
    struct table samples_table, stacks;
    struct sample *samples; /* by address */
    size_t sample_count;
    uint32_t lost; /* samples that there was no room for */
};

struct stack {
    const unsigned char *bytes;
    uint64_t place;
    uint32_t depth;
    const uint64_t *frames;
};

/* Where the profile is; of a library that has them. */
void find_profile(struct layout *layout, const struct memory *memory);

void read_notes(struct notes *notes, const struct memory *memory,
                const struct layout *layout);
void free_notes(struct notes *notes);

/* The stack at a place, which the next one is behind; false at the end. The
 * first is at layout->stack_size. */
bool stack_at(const struct notes *notes, const struct layout *layout,
              uint64_t place, struct stack *stack);
uint64_t behind_stack(const struct layout *layout, const struct stack *stack);

/* A sum of a stack, or a sample's weight; 0 for what is none. */
double number_at(const unsigned char *bytes, uint64_t at);

/* A word of the process. */
uint64_t read_word(const struct memory *memory, uint64_t at);

#endif
