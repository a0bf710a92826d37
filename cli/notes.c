/*
 * notes.c - reads what a process has noted for a profile.
 */
#define _GNU_SOURCE
#include "notes.h"

#include <stdlib.h>
#include <string.h>

#include "launch.h"
#include "pprof.h"

enum { table_most = 64 << 20 };

static const char damaged[] = "the profile of this process is damaged";

static bool is_described(const struct layout *layout)
{
    return layout_has(layout->profile) && layout_has(layout->profile_wanted) &&
           layout_has(layout->profile_mean) &&
           layout_has(layout->profile_gate) &&
           layout_has(layout->profile_gate_size) &&
           layout_has(layout->samples) && layout_has(layout->stacks) &&
           layout_has(layout->table_start) && layout_has(layout->table_used) &&
           layout_has(layout->sample_size) && layout_has(layout->sample_mem) &&
           layout_has(layout->sample_weight) &&
           layout_has(layout->sample_stack) && layout_has(layout->stack_size) &&
           layout_has(layout->stack_depth) &&
           layout_has(layout->stack_allocations) &&
           layout_has(layout->stack_allocated) &&
           layout_has(layout->stack_live_count) &&
           layout_has(layout->stack_live) && layout_has(layout->stack_frames);
}

static bool is_plausible(const struct layout *layout)
{
    uint64_t most = 256;

    return layout->sample_size <= most && layout->sample_size >= 8 &&
           layout->sample_mem <= layout->sample_size - 8 &&
           layout->sample_weight <= layout->sample_size - 8 &&
           layout->sample_stack <= layout->sample_size - 4 &&
           layout->stack_size <= most && layout->stack_size >= 8 &&
           layout->stack_frames == layout->stack_size &&
           layout->stack_depth <= layout->stack_size - 4 &&
           layout->stack_allocations <= layout->stack_size - 8 &&
           layout->stack_allocated <= layout->stack_size - 8 &&
           layout->stack_live_count <= layout->stack_size - 8 &&
           layout->stack_live <= layout->stack_size - 8 &&
           layout->profile_gate_size <= 64;
}

uint64_t read_word(const struct memory *memory, uint64_t at)
{
    uint64_t word;

    if (!memory_read(memory, at, &word, sizeof word))
        fail(exit_tool, "%s", damaged);
    return word;
}

static void read_table(struct table *table, const struct memory *memory,
                       const struct layout *layout, uint64_t at)
{
    uint64_t start = read_word(memory, at + layout->table_start);

    table->used = start != 0 ? read_word(memory, at + layout->table_used) : 0;
    if (table->used == 0)
        return;
    table->bytes = table->used <= table_most ? malloc(table->used) : NULL;
    /* What comes before the first entry is nothing, and may be no memory. */
    if (table->bytes == NULL)
        fail(exit_tool, "%s", damaged);
    if (!memory_read(memory, start, table->bytes, table->used))
        table->used = 0;
}

double number_at(const unsigned char *bytes, uint64_t at)
{
    double number;

    memcpy(&number, bytes + at, sizeof number);
    return number >= 0 && number < 1e18 ? number : 0;
}

static uint64_t word_at(const unsigned char *bytes, uint64_t at)
{
    uint64_t word;

    memcpy(&word, bytes + at, sizeof word);
    return word;
}

static int by_address(const void *a, const void *b)
{
    const struct sample *one = a, *other = b;

    return (one->mem > other->mem) - (one->mem < other->mem);
}

void read_notes(struct notes *notes, const struct memory *memory,
                const struct layout *layout)
{
    uint64_t size = layout->sample_size;

    read_table(&notes->samples_table, memory, layout, layout->samples);
    read_table(&notes->stacks, memory, layout, layout->stacks);
    if (layout_has(layout->profile_lost))
        memory_read(memory, layout->profile_lost, &notes->lost,
                    sizeof notes->lost);
    notes->samples =
        calloc(notes->samples_table.used / size + 1, sizeof *notes->samples);
    if (notes->samples == NULL)
        fail(exit_tool, "out of memory");
    for (uint64_t at = size; at + size <= notes->samples_table.used;
         at += size) {
        const unsigned char *bytes = notes->samples_table.bytes + at;
        struct sample sample = {
            word_at(bytes, layout->sample_mem),
            number_at(bytes, layout->sample_weight),
            layout_half_at(bytes, layout->sample_stack),
            0,
        };

        if (sample.mem != 0)
            notes->samples[notes->sample_count++] = sample;
    }
    qsort(notes->samples, notes->sample_count, sizeof *notes->samples,
          by_address);
}

void free_notes(struct notes *notes)
{
    free(notes->samples_table.bytes);
    free(notes->stacks.bytes);
    free(notes->samples);
    *notes = (struct notes){0};
}

bool stack_at(const struct notes *notes, const struct layout *layout,
              uint64_t place, struct stack *stack)
{
    uint64_t left;

    if (place + layout->stack_size > notes->stacks.used)
        return false;
    stack->place = place;
    stack->bytes = notes->stacks.bytes + place;
    stack->depth = layout_half_at(stack->bytes, layout->stack_depth);
    left = notes->stacks.used - place - layout->stack_size;
    stack->frames = (const void *)(stack->bytes + layout->stack_frames);
    return stack->depth <= PPROF_FRAMES &&
           stack->depth * sizeof(uint64_t) <= left;
}

uint64_t behind_stack(const struct layout *layout, const struct stack *stack)
{
    return stack->place + layout->stack_size + stack->depth * sizeof(uint64_t);
}

void find_profile(struct layout *layout, const struct memory *memory)
{
    const char *fault = layout_find(layout, memory);

    if (fault != NULL)
        fail(exit_tool, "process %d: %s", memory->process, fault);
    if (!is_described(layout))
        fail(exit_tool, "process %d: its ptm is too old for profiles",
             memory->process);
    if (!is_plausible(layout))
        fail(exit_tool, "%s", damaged);
}
